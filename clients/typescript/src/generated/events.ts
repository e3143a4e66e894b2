// Made by script/clients from clients/events.toml; edit that.

export interface UserRegistered {
  id: number;
  type: "user.registered";
  created_at: string;
  user_id: string;
  data: Record<string, unknown>;
}

export interface UserVerified {
  id: number;
  type: "user.verified";
  created_at: string;
  user_id: string;
  data: Record<string, unknown>;
}

export interface UserEmailChanged {
  id: number;
  type: "user.email_changed";
  created_at: string;
  user_id: string;
  data: Record<string, unknown>;
}

export interface UserSuspended {
  id: number;
  type: "user.suspended";
  created_at: string;
  user_id: string;
  data: Record<string, unknown>;
}

export interface UserReactivated {
  id: number;
  type: "user.reactivated";
  created_at: string;
  user_id: string;
  data: Record<string, unknown>;
}

export interface UserDeleted {
  id: number;
  type: "user.deleted";
  created_at: string;
  user_id: string;
  data: Record<string, unknown>;
}

export interface CreditsAdded {
  id: number;
  type: "credits.added";
  created_at: string;
  user_id: string;
  data: { type: string; transaction_id: string; amount: number; balance_after: number };
}

export interface CreditsExpired {
  id: number;
  type: "credits.expired";
  created_at: string;
  user_id: string;
  data: { transaction_id: string; amount: number; balance_after: number };
}

export interface CreditsDebt {
  id: number;
  type: "credits.debt";
  created_at: string;
  user_id: string;
  data: { debt: number; balance: number };
}

export interface CreditsLow {
  id: number;
  type: "credits.low";
  created_at: string;
  user_id: string;
  data: { threshold: number; available: number };
}

export interface PurchaseCompleted {
  id: number;
  type: "purchase.completed";
  created_at: string;
  user_id: string;
  data: { payment: string; kind: string; plan: string | null; name: string | null; quantity: number | null; credits: number; posted: number; amount: number | null; kept: number | null; currency: string; subscription: string | null };
}

export interface PurchaseFailed {
  id: number;
  type: "purchase.failed";
  created_at: string;
  user_id: string;
  data: { session: string; amount: number; currency: string };
}

export interface PurchaseRefunded {
  id: number;
  type: "purchase.refunded";
  created_at: string;
  user_id: string;
  data: { payment: string; kind: string; plan: string | null; name: string | null; quantity: number | null; credits: number; posted: number; amount: number | null; kept: number | null; currency: string; subscription: string | null; refunded: number };
}

export interface PurchaseDisputed {
  id: number;
  type: "purchase.disputed";
  created_at: string;
  user_id: string;
  data: { payment: string; kind: string; plan: string | null; name: string | null; quantity: number | null; credits: number; posted: number; amount: number | null; kept: number | null; currency: string; subscription: string | null; disputed: number };
}

export interface PurchaseRestored {
  id: number;
  type: "purchase.restored";
  created_at: string;
  user_id: string;
  data: { payment: string; kind: string; plan: string | null; name: string | null; quantity: number | null; credits: number; posted: number; amount: number | null; kept: number | null; currency: string; subscription: string | null; restored: number };
}

export interface PurchaseCorrected {
  id: number;
  type: "purchase.corrected";
  created_at: string;
  user_id: string;
  data: { payment: string; kind: string; plan: string | null; name: string | null; quantity: number | null; credits: number; posted: number; amount: number | null; kept: number | null; currency: string; subscription: string | null };
}

export interface SubscriptionCreated {
  id: number;
  type: "subscription.created";
  created_at: string;
  user_id: string;
  data: { subscription: string; status: string; plan: string | null; name: string | null; next_plan: string | null; next_name: string | null; next_amount: number | null; amount: number | null; currency: string | null; current_period_end: string | null; cancel_at_period_end: boolean; cancel_at: string | null; trial_end: string | null };
}

export interface SubscriptionRenewed {
  id: number;
  type: "subscription.renewed";
  created_at: string;
  user_id: string;
  data: { payment: string; kind: string; plan: string | null; name: string | null; quantity: number | null; credits: number; posted: number; amount: number | null; kept: number | null; currency: string; subscription: string | null };
}

export interface SubscriptionChanged {
  id: number;
  type: "subscription.changed";
  created_at: string;
  user_id: string;
  data: { subscription: string; status: string; plan: string | null; name: string | null; next_plan: string | null; next_name: string | null; next_amount: number | null; amount: number | null; currency: string | null; current_period_end: string | null; cancel_at_period_end: boolean; cancel_at: string | null; trial_end: string | null };
}

export interface SubscriptionChangePending {
  id: number;
  type: "subscription.change_pending";
  created_at: string;
  user_id: string;
  data: { subscription: string; status: string; plan: string | null; name: string | null; next_plan: string | null; next_name: string | null; next_amount: number | null; amount: number | null; currency: string | null; current_period_end: string | null; cancel_at_period_end: boolean; cancel_at: string | null; trial_end: string | null; pending_plan: string | null; pending_name: string | null; pending_amount: number | null; pending_expires_at: string | null };
}

export interface SubscriptionChangeExpired {
  id: number;
  type: "subscription.change_expired";
  created_at: string;
  user_id: string;
  data: { subscription: string; status: string; plan: string | null; name: string | null; next_plan: string | null; next_name: string | null; next_amount: number | null; amount: number | null; currency: string | null; current_period_end: string | null; cancel_at_period_end: boolean; cancel_at: string | null; trial_end: string | null; pending_plan: string | null; pending_name: string | null; pending_amount: number | null; pending_expires_at: string | null };
}

export interface SubscriptionPaymentFailed {
  id: number;
  type: "subscription.payment_failed";
  created_at: string;
  user_id: string;
  data: { subscription: string; status: string; plan: string | null; name: string | null; next_plan: string | null; next_name: string | null; next_amount: number | null; amount: number | null; currency: string | null; current_period_end: string | null; cancel_at_period_end: boolean; cancel_at: string | null; trial_end: string | null };
}

export interface SubscriptionTrialEnding {
  id: number;
  type: "subscription.trial_ending";
  created_at: string;
  user_id: string;
  data: { subscription: string; status: string; plan: string | null; name: string | null; next_plan: string | null; next_name: string | null; next_amount: number | null; amount: number | null; currency: string | null; current_period_end: string | null; cancel_at_period_end: boolean; cancel_at: string | null; trial_end: string | null };
}

export interface SubscriptionCanceled {
  id: number;
  type: "subscription.canceled";
  created_at: string;
  user_id: string;
  data: { subscription: string; status: string; plan: string | null; name: string | null; next_plan: string | null; next_name: string | null; next_amount: number | null; amount: number | null; currency: string | null; current_period_end: string | null; cancel_at_period_end: boolean; cancel_at: string | null; trial_end: string | null };
}

export interface SubscriptionDuplicated {
  id: number;
  type: "subscription.duplicated";
  created_at: string;
  user_id: string;
  data: { subscription: string; status: string; plan: string | null; name: string | null; next_plan: string | null; next_name: string | null; next_amount: number | null; amount: number | null; currency: string | null; current_period_end: string | null; cancel_at_period_end: boolean; cancel_at: string | null; trial_end: string | null; ending: string };
}

export interface CardExpiring {
  id: number;
  type: "card.expiring";
  created_at: string;
  user_id: string;
  data: { payment_method: string; brand: string; last4: string; exp_month: number; exp_year: number };
}

export interface BillingBalanceCredited {
  id: number;
  type: "billing.balance_credited";
  created_at: string;
  user_id: string;
  data: { payment: string; subscription: string | null; amount: number; currency: string };
}

export interface BillingStatusChanged {
  id: number;
  type: "billing.status_changed";
  created_at: string;
  user_id: string;
  data: { status: string };
}

/** Whatever the service tells; new types may come. */
export type ServiceEvent =
  | UserRegistered
  | UserVerified
  | UserEmailChanged
  | UserSuspended
  | UserReactivated
  | UserDeleted
  | CreditsAdded
  | CreditsExpired
  | CreditsDebt
  | CreditsLow
  | PurchaseCompleted
  | PurchaseFailed
  | PurchaseRefunded
  | PurchaseDisputed
  | PurchaseRestored
  | PurchaseCorrected
  | SubscriptionCreated
  | SubscriptionRenewed
  | SubscriptionChanged
  | SubscriptionChangePending
  | SubscriptionChangeExpired
  | SubscriptionPaymentFailed
  | SubscriptionTrialEnding
  | SubscriptionCanceled
  | SubscriptionDuplicated
  | CardExpiring
  | BillingBalanceCredited
  | BillingStatusChanged;
