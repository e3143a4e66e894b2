// Made by script/clients from the OpenAPI documents; edit those.

export interface AddOperation {
  op: "add";
  user_id: string;
  /** Whole credits. */
  amount: number;
  /** Default: "bonus". */
  type?: "adjustment" | "bonus" | "purchase";
  description?: string | null;
  reference?: string | null;
  expires_at?: string | null;
  metadata?: Record<string, unknown> | null;
  /** For this operation only. */
  idempotency_key?: string;
}

export interface AddCreditsBody {
  user_id: string;
  /** Whole credits. */
  amount: number;
  /** Default: "bonus". */
  type?: "adjustment" | "bonus" | "purchase";
  description?: string | null;
  reference?: string | null;
  expires_at?: string | null;
  metadata?: Record<string, unknown> | null;
}

export interface AlertAnswer {
  user_id: string;
  threshold: number | null;
}

export interface AlertBody {
  user_id: string;
  threshold: number | null;
}

/** A user's credits. A past balance has neither `expiring` nor `blocked`. */
export interface BalanceAnswer {
  user_id: string;
  balance: number;
  held: number;
  debt: number;
  available: number;
  expiring?: Array<Expiring>;
  blocked?: Array<string>;
  as_of: string;
}

export interface BatchAnswer {
  results: Array<Result>;
}

export interface BatchBody {
  operations: Array<UseOperation | AddOperation | HoldOperation | CaptureOperation | ReleaseOperation | RefundOperation>;
}

export interface CancelSubscriptionBody {
  user_id: string;
  /** Default: true. */
  at_period_end?: boolean;
}

export interface CaptureOperation {
  op: "capture";
  hold_id: string;
  amount?: number | null;
  description?: string | null;
  reference?: string | null;
  metadata?: Record<string, unknown> | null;
  /** For this operation only. */
  idempotency_key?: string;
}

export interface CaptureHoldBody {
  amount?: number | null;
  description?: string | null;
  reference?: string | null;
  metadata?: Record<string, unknown> | null;
}

/** `amount_due`, in the currency's smallest unit, is charged at `date`, and `credits` come with it. */
export interface ChangePreviewAnswer {
  plan: string;
  when: "now" | "period_end";
  date: string | null;
  amount_due: number;
  currency: string;
  credits: number;
}

export interface ChangeSubscriptionBody {
  user_id: string;
  plan?: string | null;
  when?: "now" | "period_end" | null;
  resume?: boolean | null;
  /** Null undoes a planned change. */
  next_plan?: null;
}

export interface CheckoutSessionsBody {
  user_id: string;
  /** `code` of GET /v1/billing/plans. */
  plan: string;
  /** https, at one of BILLING_RETURN_HOSTS. */
  success_url: string;
  /** https, at one of BILLING_RETURN_HOSTS. */
  cancel_url: string;
  quantity?: number | null;
}

/** `migrations` is `behind` while the database lacks a migration of this version. */
export interface Checks {
  database?: "behind" | "ok" | "unknown" | "unreachable";
  migrations?: "behind" | "ok" | "unknown" | "unreachable";
  redis?: "behind" | "ok" | "unknown" | "unreachable";
}

/** `open_invoices` are unpaid; `pay_open` tries to pay them with the card. */
export interface DefaultAnswer {
  id: string;
  brand: string | null;
  last4: string | null;
  exp_month: number | null;
  exp_year: number | null;
  default: boolean;
  open_invoices: Array<OpenInvoice>;
}

export interface DefaultPaymentMethodBody {
  user_id: string;
  /** Default: false. */
  pay_open?: boolean;
}

export interface EligibilityAnswer {
  eligible: boolean;
  reason: "eligible" | "had_subscription" | "in_trial" | "trial_used";
}

export interface EndTrialBody {
  user_id: string;
}

/** Something that happened to a user. */
export interface EventAnswer {
  id: number;
  type: string;
  created_at: string;
  user_id: string;
  data: Record<string, unknown>;
}

export interface Expiring {
  amount: number;
  expires_at: string;
}

/** One entry of the `errors` of a `validation_error` or an `unknown_field`. */
export interface FieldProblem {
  field: string;
  code: string;
  detail: string;
}

export interface FoundUsers {
  results: Array<KnownUser>;
}

export interface HoldOperation {
  op: "hold";
  user_id: string;
  /** Whole credits. */
  amount: number;
  /** Default: 900. */
  expires_in?: number;
  description?: string | null;
  reference?: string | null;
  metadata?: Record<string, unknown> | null;
  /** For this operation only. */
  idempotency_key?: string;
}

/** Credits set aside. `captured` is how many of them were spent when the hold was settled. */
export interface HoldAnswer {
  id: string;
  user_id: string;
  status: "captured" | "expired" | "open" | "released";
  amount: number;
  captured: number;
  expires_at: string | null;
  description: string | null;
  reference: string | null;
  metadata: Record<string, unknown> | null;
  service: string;
  created_at: string;
  transaction?: TransactionAnswer;
}

export interface HoldsBody {
  user_id: string;
  /** Whole credits. */
  amount: number;
  /** Default: 900. */
  expires_in?: number;
  description?: string | null;
  reference?: string | null;
  metadata?: Record<string, unknown> | null;
}

export interface IntrospectBody {
  token: string;
  token_type_hint?: string | null;
}

/** RFC 7662, 2.2. If the token is not live, `active` is the only member. */
export interface Introspection {
  active: boolean;
  sub?: string;
  sid?: string;
  iat?: number;
  exp?: number;
  email_verified?: boolean;
  status?: string;
  amr?: Array<string>;
}

export interface InvoiceAnswer {
  id: string;
  number: string | null;
  status: string | null;
  amount_paid: number;
  /** The amount that can still be paid. */
  amount_due: number;
  currency: string;
  created_at: string;
  hosted_url: string | null;
  pdf_url: string | null;
}

/** RFC 7517, 5. */
export interface KeySet {
  keys: Array<Record<string, unknown>>;
}

/** The part of a user that other services may see. */
export interface KnownUser {
  id: string;
  email: string | null;
  email_verified: boolean;
  display_name: string;
  status: string;
  created_at: string;
}

export interface LiveAnswer {
  status: "ok";
}

export interface LookUpUsersBody {
  emails?: Array<string> | null;
  ids?: Array<string> | null;
}

/** An unpaid invoice, in the currency's smallest unit. */
export interface OpenInvoice {
  id: string;
  amount_due: number;
  currency: string;
}

export interface PayInvoiceBody {
  user_id: string;
  payment_method?: string | null;
}

/** A stored card. Other methods, such as a bank account, have none of a card's fields. */
export interface PaymentMethodAnswer {
  id: string;
  brand: string | null;
  last4: string | null;
  exp_month: number | null;
  exp_year: number | null;
  default: boolean;
}

/** Something for sale. `amount` is in the currency's smallest unit. */
export interface PlanAnswer {
  code: string;
  name: string;
  kind: "pack" | "subscription";
  /** Credits in one pack, or in each period. */
  credits: number;
  amount: number;
  currency: string;
  interval?: "day" | "month" | "week" | "year";
  /** How many intervals make a period. */
  interval_count?: number;
  trial_days?: number;
}

export interface PortalAnswer {
  url: string;
}

export interface PortalSessionsBody {
  user_id: string;
  /** https, at one of BILLING_RETURN_HOSTS. */
  return_url: string;
}

export interface ReadyAnswer {
  status: "degraded" | "ok";
  checks: Checks;
}

export interface RefundOperation {
  op: "refund";
  transaction_id: string;
  amount?: number | null;
  description?: string | null;
  /** For this operation only. */
  idempotency_key?: string;
}

export interface RefundCreditsBody {
  transaction_id: string;
  amount?: number | null;
  description?: string | null;
}

export interface ReleaseOperation {
  op: "release";
  hold_id: string;
  /** For this operation only. */
  idempotency_key?: string;
}

/** The outcome of one operation: the status and the body with which the single call would respond. */
export interface Result {
  status: number;
  replayed: boolean;
  transaction?: TransactionAnswer;
  hold?: HoldAnswer;
  problem?: Record<string, unknown>;
}

export interface ResumeSubscriptionBody {
  user_id: string;
}

/** RFC 8414, 2. It names no endpoints for authorization codes or ID tokens: this service issues neither. */
export interface ServerMetadata {
  /** The `iss` claim of every token: TOKEN_ISSUER. */
  issuer: string;
  jwks_uri: string;
  response_types_supported: Array<string>;
  grant_types_supported: Array<string>;
}

/** A Stripe page on which the user pays. `credited` is true once its credits are in the balance. */
export interface SessionAnswer {
  id: string;
  /** Null once it is paid or has expired. */
  url: string | null;
  expires_at: string | null;
  /** `open`, `complete` or `expired`. */
  status: string | null;
  credited: boolean;
}

export interface SetupAnswer {
  id: string;
  client_secret: string;
}

export interface SetupIntentsBody {
  user_id: string;
}

/** `subscription` is the current one, or the last. */
export interface StatusAnswer {
  account_status: "active" | "canceled" | "frozen" | "none" | "past_due" | "trialing";
  subscription: SubscriptionAnswer | null;
  credits: BalanceAnswer;
}

/** `plan` is the plan last paid for; `status` is Stripe's. If there is a `client_secret`, the user must
    confirm a payment (3-D Secure). */
export interface SubscriptionAnswer {
  id: string;
  plan: string | null;
  status: string;
  current_period_end: string | null;
  cancel_at_period_end: boolean;
  /** The plan that starts after this period, or when it is paid for. */
  next_plan?: string;
  /** The plan of a change that is waiting for its payment and expires without it. */
  pending_plan?: string;
  pending_expires_at?: string;
  cancel_at?: string;
  trial_end?: string;
  client_secret?: string;
}

export interface SubscriptionsBody {
  user_id: string;
  /** `code` of GET /v1/billing/plans. */
  plan: string;
  payment_method?: string | null;
  trial?: boolean | null;
}

/** One row of the journal. */
export interface TransactionAnswer {
  id: string;
  user_id: string;
  type: string;
  /** Negative if credits were taken. */
  amount: number;
  balance_after: number;
  held_after: number;
  description: string | null;
  reference: string | null;
  metadata: Record<string, unknown> | null;
  /** The service that requested it. */
  service: string;
  created_at: string;
  refund_of?: string;
  hold_id?: string;
  /** Set for uses by feature, until the user is erased. */
  feature?: string;
  quantity?: number;
  /** The price of one unit when it was used. */
  unit_price?: number;
}

export interface UseOperation {
  op: "use";
  user_id: string;
  amount?: number | null;
  feature?: string | null;
  quantity?: number | null;
  description?: string | null;
  reference?: string | null;
  metadata?: Record<string, unknown> | null;
  /** For this operation only. */
  idempotency_key?: string;
}

export interface UseCreditsBody {
  user_id: string;
  amount?: number | null;
  feature?: string | null;
  quantity?: number | null;
  description?: string | null;
  reference?: string | null;
  metadata?: Record<string, unknown> | null;
}

export interface ListEventsQuery {
  types?: string | null;
  limit?: number;
}

export interface GetBalanceQuery {
  user_id: string;
  at?: string | null;
}

export interface ListTransactionsQuery {
  user_id?: string | null;
  type?: "purchase" | "subscription" | "bonus" | "trial" | "refund" | "adjustment" | "chargeback" | "use" | "expiry" | "hold" | "release" | "forfeit" | null;
  reference?: string | null;
  since?: string | null;
  until?: string | null;
  limit?: number;
}

export interface ListHoldsQuery {
  user_id?: string | null;
  status?: "captured" | "expired" | "open" | "released" | null;
  limit?: number;
}

export interface GetAlertQuery {
  user_id: string;
}

export interface ListPlansQuery {
  limit?: number;
}

export interface GetCheckoutQuery {
  user_id: string;
}

export interface ListStoredCardsQuery {
  user_id: string;
  limit?: number;
}

export interface RemoveStoredCardQuery {
  user_id: string;
  cancel_at_period_end?: boolean;
}

export interface ListSubscriptionsQuery {
  user_id: string;
  limit?: number;
}

export interface PreviewChangeQuery {
  user_id: string;
  plan: string;
  when?: "now" | "period_end" | null;
}

export interface ListInvoicesQuery {
  user_id: string;
  limit?: number;
}

export interface CheckTrialEligibilityQuery {
  user_id: string;
}

export interface GetUserBillingStatusQuery {
  user_id: string;
}
