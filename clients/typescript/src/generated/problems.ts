// Made by script/clients from the OpenAPI documents; edit those.
import type { Checks, FieldProblem } from "./public.js";

/** The API key is not valid. */
export interface APIKeyInvalidProblem {
  type: string;
  title: string;
  status: 401;
  code: "api_key_invalid";
  detail: string;
  request_id: string;
}

/** Send the service's key in the header X-API-Key. */
export interface APIKeyMissingProblem {
  type: string;
  title: string;
  status: 401;
  code: "api_key_missing";
  detail: string;
  request_id: string;
}

/** The access token has expired. Use the refresh token. */
export interface AccessTokenExpiredProblem {
  type: string;
  title: string;
  status: 401;
  code: "access_token_expired";
  detail: string;
  request_id: string;
}

/** The access token is not valid. Sign in again. */
export interface AccessTokenInvalidProblem {
  type: string;
  title: string;
  status: 401;
  code: "access_token_invalid";
  detail: string;
  request_id: string;
}

/** Two addresses claim this account. Its credits cannot be spent until staff have decided. */
export interface AccountContestedProblem {
  type: string;
  title: string;
  status: 403;
  code: "account_contested";
  detail: string;
  request_id: string;
}

/** An account with this address already exists. Sign in to it, then link Google there. */
export interface AccountExistsProblem {
  type: string;
  title: string;
  status: 409;
  code: "account_exists";
  detail: string;
  request_id: string;
}

/** This account's credits are frozen until a payment is settled. */
export interface AccountFrozenProblem {
  type: string;
  title: string;
  status: 403;
  code: "account_frozen";
  detail: string;
  request_id: string;
}

/** This account is suspended or about to be deleted: its credits cannot be spent. */
export interface AccountSuspendedProblem {
  type: string;
  title: string;
  status: 403;
  code: "account_suspended";
  detail: string;
  request_id: string;
}

/** This user already has a subscription. */
export interface AlreadySubscribedProblem {
  type: string;
  title: string;
  status: 409;
  code: "already_subscribed";
  detail: string;
  request_id: string;
}

/** The request is malformed. */
export interface BadRequestProblem {
  type: string;
  title: string;
  status: 400;
  code: "bad_request";
  detail: string;
  request_id: string;
}

/** The balance would exceed 9007199254740991 credits. */
export interface BalanceLimitProblem {
  type: string;
  title: string;
  status: 409;
  code: "balance_limit";
  detail: string;
  request_id: string;
}

/** The payment provider rejected this request. */
export interface BillingRejectedProblem {
  type: string;
  title: string;
  status: 400;
  code: "billing_rejected";
  detail: string;
  request_id: string;
  reason?: string | null;
}

/** The payment provider is not responding. Repeat the call with the same Idempotency-Key. */
export interface BillingUnavailableProblem {
  type: string;
  title: string;
  status: 503;
  code: "billing_unavailable";
  detail: string;
  request_id: string;
}

/** The body is larger than this call accepts. */
export interface BodyTooLargeProblem {
  type: string;
  title: string;
  status: 413;
  code: "body_too_large";
  detail: string;
  request_id: string;
  limit?: number;
}

/** The body ended early or is not framed correctly. */
export interface BodyUnreadableProblem {
  type: string;
  title: string;
  status: 400;
  code: "body_unreadable";
  detail: string;
  request_id: string;
}

/** This key's daily budget does not cover that many credits. It resets at midnight UTC. */
export interface BudgetExceededProblem {
  type: string;
  title: string;
  status: 409;
  code: "budget_exceeded";
  detail: string;
  request_id: string;
  budget: number;
  left: number;
}

/** This subscription is set to end. To keep it and change its plan, set `resume` to true. */
export interface CancellationPendingProblem {
  type: string;
  title: string;
  status: 409;
  code: "cancellation_pending";
  detail: string;
  request_id: string;
}

/** A capture cannot exceed what is held. */
export interface CaptureExceedsHoldProblem {
  type: string;
  title: string;
  status: 409;
  code: "capture_exceeds_hold";
  detail: string;
  request_id: string;
}

/** Another change to this subscription is waiting for payment. Pay it or let it expire first. */
export interface ChangePendingProblem {
  type: string;
  title: string;
  status: 409;
  code: "change_pending";
  detail: string;
  request_id: string;
}

/** The cursor does not belong to this list with these filters. */
export interface CursorInvalidProblem {
  type: string;
  title: string;
  status: 400;
  code: "cursor_invalid";
  detail: string;
  request_id: string;
}

/** This account is being deleted. To keep it, sign in with `cancel_deletion` set to true. */
export interface DeletionPendingProblem {
  type: string;
  title: string;
  status: 403;
  code: "deletion_pending";
  detail: string;
  request_id: string;
}

/** Verify the email address first; POST /v1/auth/resend-verification sends another email. */
export interface EmailNotVerifiedProblem {
  type: string;
  title: string;
  status: 403;
  code: "email_not_verified";
  detail: string;
  request_id: string;
}

/** This event does not belong to this Stripe account and mode. */
export interface EventInvalidProblem {
  type: string;
  title: string;
  status: 400;
  code: "event_invalid";
  detail: string;
  request_id: string;
}

/** Second factor not found. */
export interface FactorNotFoundProblem {
  type: string;
  title: string;
  status: 404;
  code: "factor_not_found";
  detail: string;
  request_id: string;
}

/** Feature not found: it has no price. */
export interface FeatureNotFoundProblem {
  type: string;
  title: string;
  status: 404;
  code: "feature_not_found";
  detail: string;
  request_id: string;
}

/** This Google account is linked to another account. */
export interface GoogleAccountTakenProblem {
  type: string;
  title: string;
  status: 409;
  code: "google_account_taken";
  detail: string;
  request_id: string;
}

/** Another Google account is already linked. Unlink it first. */
export interface GoogleAlreadyLinkedProblem {
  type: string;
  title: string;
  status: 409;
  code: "google_already_linked";
  detail: string;
  request_id: string;
}

/** Google has not verified the address of this Google account. */
export interface GoogleEmailNotVerifiedProblem {
  type: string;
  title: string;
  status: 403;
  code: "google_email_not_verified";
  detail: string;
  request_id: string;
}

/** Sign-in with Google is not available here. */
export interface GoogleNotConfiguredProblem {
  type: string;
  title: string;
  status: 404;
  code: "google_not_configured";
  detail: string;
  request_id: string;
}

/** Google is not responding. Try again, or sign in another way. */
export interface GoogleUnavailableProblem {
  type: string;
  title: string;
  status: 503;
  code: "google_unavailable";
  detail: string;
  request_id: string;
}

/** Hold not found. */
export interface HoldNotFoundProblem {
  type: string;
  title: string;
  status: 404;
  code: "hold_not_found";
  detail: string;
  request_id: string;
}

/** This hold was captured or released, or has expired. */
export interface HoldNotOpenProblem {
  type: string;
  title: string;
  status: 409;
  code: "hold_not_open";
  detail: string;
  request_id: string;
}

/** The ID token is not valid here. Request a new nonce and sign in to Google again. */
export interface IDTokenInvalidProblem {
  type: string;
  title: string;
  status: 401;
  code: "id_token_invalid";
  detail: string;
  request_id: string;
}

/** A request with this Idempotency-Key is still being processed. Repeat it in a moment. */
export interface IdempotencyInProgressProblem {
  type: string;
  title: string;
  status: 409;
  code: "idempotency_in_progress";
  detail: string;
  request_id: string;
}

/** The Idempotency-Key must be 1 to 255 printable ASCII characters. */
export interface IdempotencyKeyInvalidProblem {
  type: string;
  title: string;
  status: 400;
  code: "idempotency_key_invalid";
  detail: string;
  request_id: string;
}

/** Send an Idempotency-Key header, so that the call can be repeated safely. */
export interface IdempotencyKeyRequiredProblem {
  type: string;
  title: string;
  status: 400;
  code: "idempotency_key_required";
  detail: string;
  request_id: string;
}

/** This Idempotency-Key was used for another request. Use a new key for a new request. */
export interface IdempotencyKeyReusedProblem {
  type: string;
  title: string;
  status: 422;
  code: "idempotency_key_reused";
  detail: string;
  request_id: string;
}

/** Not enough credits. */
export interface InsufficientCreditsProblem {
  type: string;
  title: string;
  status: 402;
  code: "insufficient_credits";
  detail: string;
  request_id: string;
  available: number;
  required: number;
}

/** The email address or password is wrong. */
export interface InvalidCredentialsProblem {
  type: string;
  title: string;
  status: 401;
  code: "invalid_credentials";
  detail: string;
  request_id: string;
}

/** This is the only way to sign in to this account. Set a password first. */
export interface LastLoginMethodProblem {
  type: string;
  title: string;
  status: 409;
  code: "last_login_method";
  detail: string;
  request_id: string;
}

/** This is the only card of a subscription that renews. Store another one or end it first. */
export interface LastPaymentMethodProblem {
  type: string;
  title: string;
  status: 409;
  code: "last_payment_method";
  detail: string;
  request_id: string;
}

/** This account needs a second factor first: POST /v1/auth/mfa/totp or /v1/auth/mfa/passkeys/options. Staff enrol theirs through a one-time link from an operator. */
export interface MFAEnrolmentRequiredProblem {
  type: string;
  title: string;
  status: 403;
  code: "mfa_enrolment_required";
  detail: string;
  request_id: string;
}

/** This code is incorrect. Use the newest one in the app. */
export interface MFAInvalidCode400Problem {
  type: string;
  title: string;
  status: 400;
  code: "mfa_invalid_code";
  detail: string;
  request_id: string;
}

/** This code or credential is incorrect or was already used. */
export interface MFAInvalidCode401Problem {
  type: string;
  title: string;
  status: 401;
  code: "mfa_invalid_code";
  detail: string;
  request_id: string;
}

/** The account has no second factor, so it has no recovery codes. */
export interface MFANotEnabledProblem {
  type: string;
  title: string;
  status: 409;
  code: "mfa_not_enabled";
  detail: string;
  request_id: string;
}

/** This account has a second factor: send it to POST /v1/auth/login/mfa with this `mfa_token`. */
export interface MFARequiredProblem {
  type: string;
  title: string;
  status: 401;
  code: "mfa_required";
  detail: string;
  request_id: string;
  mfa_token: string;
  methods: Array<"passkey" | "recovery_code" | "totp">;
}

/** Start the sign-in again: this token is no longer valid. */
export interface MFATokenInvalidProblem {
  type: string;
  title: string;
  status: 401;
  code: "mfa_token_invalid";
  detail: string;
  request_id: string;
}

/** The body is not valid JSON. */
export interface MalformedJSONProblem {
  type: string;
  title: string;
  status: 400;
  code: "malformed_json";
  detail: string;
  request_id: string;
}

/** Send an access token: `Authorization: Bearer <access token>`. */
export interface NotAuthenticatedProblem {
  type: string;
  title: string;
  status: 401;
  code: "not_authenticated";
  detail: string;
  request_id: string;
}

/** Nothing was found at this address. */
export interface NotFoundProblem {
  type: string;
  title: string;
  status: 404;
  code: "not_found";
  detail: string;
  request_id: string;
}

/** This process is not ready; `checks` says why. */
export interface NotReadyProblem {
  type: string;
  title: string;
  status: 503;
  code: "not_ready";
  detail: string;
  request_id: string;
  checks: Checks;
}

/** Google rejected this code. Start again. */
export interface OAuthCodeInvalidProblem {
  type: string;
  title: string;
  status: 400;
  code: "oauth_code_invalid";
  detail: string;
  request_id: string;
}

/** Google reported that the sign-in was denied. Nothing was changed. */
export interface OAuthDeniedProblem {
  type: string;
  title: string;
  status: 400;
  code: "oauth_denied";
  detail: string;
  request_id: string;
}

/** This passkey cannot be used to sign in. Request new options and try again. */
export interface PasskeyInvalidProblem {
  type: string;
  title: string;
  status: 401;
  code: "passkey_invalid";
  detail: string;
  request_id: string;
}

/** The account has 20 passkeys. Remove one first. */
export interface PasskeyLimitProblem {
  type: string;
  title: string;
  status: 409;
  code: "passkey_limit";
  detail: string;
  request_id: string;
}

/** This credential cannot be added. Request new options and try again. */
export interface PasskeyRefusedProblem {
  type: string;
  title: string;
  status: 400;
  code: "passkey_refused";
  detail: string;
  request_id: string;
}

/** The payment was declined. */
export interface PaymentFailedProblem {
  type: string;
  title: string;
  status: 402;
  code: "payment_failed";
  detail: string;
  request_id: string;
  decline_code?: string | null;
}

/** A trial needs a payment method. */
export interface PaymentMethodRequiredProblem {
  type: string;
  title: string;
  status: 400;
  code: "payment_method_required";
  detail: string;
  request_id: string;
}

/** An invoice for this user's subscription is unpaid. Credits cannot be spent until it is paid. */
export interface PaymentOverdueProblem {
  type: string;
  title: string;
  status: 409;
  code: "payment_overdue";
  detail: string;
  request_id: string;
}

/** Plan not found. */
export interface PlanNotFoundProblem {
  type: string;
  title: string;
  status: 404;
  code: "plan_not_found";
  detail: string;
  request_id: string;
}

/** Too many attempts. Try again later. */
export interface RateLimitedProblem {
  type: string;
  title: string;
  status: 429;
  code: "rate_limited";
  detail: string;
  request_id: string;
}

/** The proof is wrong. Nothing was changed. */
export interface ReauthenticationFailedProblem {
  type: string;
  title: string;
  status: 403;
  code: "reauthentication_failed";
  detail: string;
  request_id: string;
}

/** Reauthenticate first: POST /v1/auth/reauthenticate with one of `methods`, or sign in again. */
export interface ReauthenticationRequiredProblem {
  type: string;
  title: string;
  status: 403;
  code: "reauthentication_required";
  detail: string;
  request_id: string;
  methods: Array<"code" | "credential" | "id_token" | "password">;
}

/** The refresh token has expired. Sign in again. */
export interface RefreshTokenExpiredProblem {
  type: string;
  title: string;
  status: 401;
  code: "refresh_token_expired";
  detail: string;
  request_id: string;
}

/** The refresh token is not valid. Sign in again. */
export interface RefreshTokenInvalidProblem {
  type: string;
  title: string;
  status: 401;
  code: "refresh_token_invalid";
  detail: string;
  request_id: string;
}

/** This refresh token was already used, so the session was ended. Sign in again. */
export interface RefreshTokenReusedProblem {
  type: string;
  title: string;
  status: 401;
  code: "refresh_token_reused";
  detail: string;
  request_id: string;
}

/** The refunds of a use cannot exceed it in total. */
export interface RefundExceedsUseProblem {
  type: string;
  title: string;
  status: 409;
  code: "refund_exceeds_use";
  detail: string;
  request_id: string;
}

/** This API key lacks the scope that the call needs. */
export interface ScopeMissingProblem {
  type: string;
  title: string;
  status: 403;
  code: "scope_missing";
  detail: string;
  request_id: string;
}

/** The service is temporarily unavailable. Try again. */
export interface ServiceUnavailableProblem {
  type: string;
  title: string;
  status: 503;
  code: "service_unavailable";
  detail: string;
  request_id: string;
}

/** Session not found. */
export interface SessionNotFoundProblem {
  type: string;
  title: string;
  status: 404;
  code: "session_not_found";
  detail: string;
  request_id: string;
}

/** This session has ended. Sign in again. */
export interface SessionRevokedProblem {
  type: string;
  title: string;
  status: 401;
  code: "session_revoked";
  detail: string;
  request_id: string;
}

/** The signature is missing, wrong, or too old. */
export interface SignatureInvalidProblem {
  type: string;
  title: string;
  status: 400;
  code: "signature_invalid";
  detail: string;
  request_id: string;
}

/** Staff enrol their first second factor through a one-time link from an operator. */
export interface StaffEnrolmentRequiredProblem {
  type: string;
  title: string;
  status: 403;
  code: "staff_enrolment_required";
  detail: string;
  request_id: string;
}

/** This sign-in was not started in this browser, or has expired. Start again. */
export interface StateInvalidProblem {
  type: string;
  title: string;
  status: 400;
  code: "state_invalid";
  detail: string;
  request_id: string;
}

/** The account already has an authenticator app. Remove it before you add another one. */
export interface TOTPAlreadyEnabledProblem {
  type: string;
  title: string;
  status: 409;
  code: "totp_already_enabled";
  detail: string;
  request_id: string;
}

/** The link or code is no longer valid. Request a new one. */
export interface TokenInvalidProblem {
  type: string;
  title: string;
  status: 400;
  code: "token_invalid";
  detail: string;
  request_id: string;
}

/** Transaction not found. */
export interface TransactionNotFoundProblem {
  type: string;
  title: string;
  status: 404;
  code: "transaction_not_found";
  detail: string;
  request_id: string;
}

/** Only a use can be refunded. */
export interface TransactionNotRefundableProblem {
  type: string;
  title: string;
  status: 409;
  code: "transaction_not_refundable";
  detail: string;
  request_id: string;
}

/** This user or card has already had a trial. */
export interface TrialUsedProblem {
  type: string;
  title: string;
  status: 409;
  code: "trial_used";
  detail: string;
  request_id: string;
}

/** Unknown field in the request body. */
export interface UnknownFieldProblem {
  type: string;
  title: string;
  status: 400;
  code: "unknown_field";
  detail: string;
  request_id: string;
  errors: Array<FieldProblem>;
}

/** Send `Content-Type: application/json`, in UTF-8. */
export interface UnsupportedMediaTypeProblem {
  type: string;
  title: string;
  status: 415;
  code: "unsupported_media_type";
  detail: string;
  request_id: string;
}

/** User not found. */
export interface UserNotFoundProblem {
  type: string;
  title: string;
  status: 404;
  code: "user_not_found";
  detail: string;
  request_id: string;
}

/** The request has invalid fields. */
export interface ValidationErrorProblem {
  type: string;
  title: string;
  status: 400;
  code: "validation_error";
  detail: string;
  request_id: string;
  errors: Array<FieldProblem>;
}

export type KnownProblem =
  | APIKeyInvalidProblem
  | APIKeyMissingProblem
  | AccessTokenExpiredProblem
  | AccessTokenInvalidProblem
  | AccountContestedProblem
  | AccountExistsProblem
  | AccountFrozenProblem
  | AccountSuspendedProblem
  | AlreadySubscribedProblem
  | BadRequestProblem
  | BalanceLimitProblem
  | BillingRejectedProblem
  | BillingUnavailableProblem
  | BodyTooLargeProblem
  | BodyUnreadableProblem
  | BudgetExceededProblem
  | CancellationPendingProblem
  | CaptureExceedsHoldProblem
  | ChangePendingProblem
  | CursorInvalidProblem
  | DeletionPendingProblem
  | EmailNotVerifiedProblem
  | EventInvalidProblem
  | FactorNotFoundProblem
  | FeatureNotFoundProblem
  | GoogleAccountTakenProblem
  | GoogleAlreadyLinkedProblem
  | GoogleEmailNotVerifiedProblem
  | GoogleNotConfiguredProblem
  | GoogleUnavailableProblem
  | HoldNotFoundProblem
  | HoldNotOpenProblem
  | IDTokenInvalidProblem
  | IdempotencyInProgressProblem
  | IdempotencyKeyInvalidProblem
  | IdempotencyKeyRequiredProblem
  | IdempotencyKeyReusedProblem
  | InsufficientCreditsProblem
  | InvalidCredentialsProblem
  | LastLoginMethodProblem
  | LastPaymentMethodProblem
  | MFAEnrolmentRequiredProblem
  | MFAInvalidCode400Problem
  | MFAInvalidCode401Problem
  | MFANotEnabledProblem
  | MFARequiredProblem
  | MFATokenInvalidProblem
  | MalformedJSONProblem
  | NotAuthenticatedProblem
  | NotFoundProblem
  | NotReadyProblem
  | OAuthCodeInvalidProblem
  | OAuthDeniedProblem
  | PasskeyInvalidProblem
  | PasskeyLimitProblem
  | PasskeyRefusedProblem
  | PaymentFailedProblem
  | PaymentMethodRequiredProblem
  | PaymentOverdueProblem
  | PlanNotFoundProblem
  | RateLimitedProblem
  | ReauthenticationFailedProblem
  | ReauthenticationRequiredProblem
  | RefreshTokenExpiredProblem
  | RefreshTokenInvalidProblem
  | RefreshTokenReusedProblem
  | RefundExceedsUseProblem
  | ScopeMissingProblem
  | ServiceUnavailableProblem
  | SessionNotFoundProblem
  | SessionRevokedProblem
  | SignatureInvalidProblem
  | StaffEnrolmentRequiredProblem
  | StateInvalidProblem
  | TOTPAlreadyEnabledProblem
  | TokenInvalidProblem
  | TransactionNotFoundProblem
  | TransactionNotRefundableProblem
  | TrialUsedProblem
  | UnknownFieldProblem
  | UnsupportedMediaTypeProblem
  | UserNotFoundProblem
  | ValidationErrorProblem;
