// Made by script/clients from the OpenAPI documents; edit those.

/** Something that happened to the account, and the device it came from, if any. */
export interface ActivityItem {
  type: string;
  created_at: string;
  ip: string | null;
  user_agent: string;
}

export interface Address {
  email: string;
}

export interface AuthorizationURL {
  /** Send the browser here within 10 minutes. */
  authorization_url: string;
}

export interface CancelMFAResetBody {
  token: string;
}

export interface ChangeEmailBody {
  new_email: string;
}

export interface ChangePasswordBody {
  /** 12 to 256 characters of any kind. */
  new_password: string;
  /** Omit it if the account has no password; the sign-in must then be recent. */
  current_password?: string | null;
}

/** `migrations` is `behind` while the database lacks a migration of this version. */
export interface Checks {
  database?: "behind" | "ok" | "unknown" | "unreachable";
  migrations?: "behind" | "ok" | "unknown" | "unreachable";
  redis?: "behind" | "ok" | "unknown" | "unreachable";
}

export interface ConfirmEmailChangeBody {
  token: string;
}

export interface ConfirmTOTPBody {
  code: string;
}

export interface Deletion {
  deletes_at: string;
  /** Credits that are lost when the account is erased. */
  forfeits: number;
}

/** A message to show to people. */
export interface Detail {
  detail: string;
}

/** Shown once. All three contain the secret. */
export interface Enrolment {
  secret: string;
  otpauth_url: string;
  /** The URL as a QR code, an SVG image. */
  qr_svg: string;
}

export interface ExchangeBody {
  code: string;
  /** Needed if `google/login` was given a `code_challenge`. */
  code_verifier?: string | null;
}

export interface Factors {
  enabled: boolean;
  totp: TOTPAnswer | null;
  passkeys: Array<PasskeyAnswer>;
  recovery_codes_left: number;
}

/** One entry of the `errors` of a `validation_error` or an `unknown_field`. */
export interface FieldProblem {
  field: string;
  code: string;
  detail: string;
}

export interface GoogleCallbackBody {
  state: string;
  code?: string | null;
  /** Sent by Google instead of a code. */
  error?: string | null;
}

export interface GoogleLinkBody {
  id_token?: string | null;
}

export interface GoogleTokenBody {
  id_token: string;
  /** Keep an account whose deletion is pending. Default: false. */
  cancel_deletion?: boolean;
  /** The `device_token` from the last sign-in on this device. */
  device_token?: string | null;
}

/** RFC 7517, 5. */
export interface KeySet {
  keys: Array<Record<string, unknown>>;
}

/** Contains one of the two. */
export interface LinkAnswer {
  authorization_url?: string;
  google_linked?: boolean;
}

export interface LiveAnswer {
  status: "ok";
}

export interface LoginBody {
  email: string;
  password: string;
  /** Keep an account whose deletion is pending. Default: false. */
  cancel_deletion?: boolean;
  /** The `device_token` from the last sign-in on this device. */
  device_token?: string | null;
}

export interface LoginMFABody {
  /** From the `mfa_required` response. */
  mfa_token: string;
  /** From the authenticator app, or a recovery code. */
  code?: string | null;
  /** A passkey's response to the options from POST /v1/auth/passkey/options with this `mfa_token`. */
  credential?: Record<string, unknown> | null;
  /** The `device_token` from the last sign-in on this device. */
  device_token?: string | null;
}

export interface LogoutBody {
  /** Instead of an access token, which may have expired. */
  refresh_token?: string | null;
}

export interface MeBody {
  /** At most 100 characters. */
  display_name?: string;
  /** Language of emails. */
  locale?: string;
  /** A name from the IANA time zone database. */
  timezone?: string;
}

export interface NewPasskey {
  passkey: PasskeyAnswer;
  recovery_codes: Array<string>;
}

export interface Nonce {
  /** For one ID token, within 10 minutes. */
  nonce: string;
}

export interface PasskeyAnswer {
  id: number;
  name: string;
  created_at: string;
  last_used_at: string | null;
}

export interface PasskeyLoginBody {
  credential: Record<string, unknown>;
  /** Keep an account whose deletion is pending. Default: false. */
  cancel_deletion?: boolean;
  /** The `device_token` from the last sign-in on this device. */
  device_token?: string | null;
}

export interface PasskeySignInOptionsBody {
  /** If sent, the options are for the second step of that sign-in. */
  mfa_token?: string | null;
}

export interface PasskeysBody {
  /** The browser's response, as returned by PublicKeyCredential.toJSON(). */
  credential: Record<string, unknown>;
  /** At most 100 characters. */
  name?: string;
}

export interface PasswordResetBody {
  token: string;
  /** 12 to 256 characters of any kind. */
  new_password: string;
}

export interface PasswordResetRequestBody {
  email: string;
}

/** Everything stored about a user. More sections may be added. Credits are newest first; the rest is unordered. */
export interface PersonalData {
  user: Record<string, unknown>;
  registrations: Array<Record<string, unknown>>;
  address_changes: Array<Record<string, unknown>>;
  sessions: Array<Record<string, unknown>>;
  activity: Array<Record<string, unknown>>;
  credit_balance: Array<Record<string, unknown>>;
  credit_transactions: Array<Record<string, unknown>>;
  subscriptions: Array<Record<string, unknown>>;
}

/** Everything that users can see of their own account. */
export interface Profile {
  id: string;
  email: string | null;
  email_verified: boolean;
  display_name: string;
  locale: string;
  timezone: string;
  has_password: boolean;
  google_linked: boolean;
  mfa_enabled: boolean;
  status: string;
  created_at: string;
}

export interface ProofToken {
  /** Only this token carries the proof, for five minutes. */
  access_token: string;
  token_type?: string;
  /** Seconds until the access token expires. */
  expires_in: number;
}

/** The part of a user that anyone may see; never an address. */
export interface PublicUser {
  id: string;
  display_name: string;
  status: string;
}

export interface ReadyAnswer {
  status: "degraded" | "ok";
  checks: Checks;
}

export interface ReauthenticateBody {
  password?: string | null;
  /** From the authenticator app, or a recovery code. */
  code?: string | null;
  /** A passkey's response to the options from POST /v1/auth/passkey/options. */
  credential?: Record<string, unknown> | null;
  /** From the linked Google account, with a fresh nonce. */
  id_token?: string | null;
}

export interface Received {
  received: boolean;
}

export interface RecoveryCodes {
  /** Each works once. Empty if the account already has some. */
  recovery_codes: Array<string>;
}

export interface RefreshBody {
  refresh_token: string;
}

export interface RefuseRegistrationBody {
  token: string;
}

export interface RegisterBody {
  email: string;
  /** 12 to 256 characters of any kind. */
  password: string;
  display_name?: string;
  /** Language of emails. Default: "en". */
  locale?: string;
}

export interface ResendVerificationBody {
  email: string;
}

/** RFC 8414, 2. It names no endpoints for authorization codes or ID tokens: this service issues neither. */
export interface ServerMetadata {
  /** The `iss` claim of every token: TOKEN_ISSUER. */
  issuer: string;
  jwks_uri: string;
  response_types_supported: Array<string>;
  grant_types_supported: Array<string>;
}

export interface SessionAnswer {
  id: string;
  /** True for the session that makes this call. */
  current: boolean;
  /** True for a session in the admin, which only staff have. */
  admin: boolean;
  created_at: string;
  last_used_at: string;
  ip: string | null;
  user_agent: string;
  /** How the user signed in: RFC 8176 values. */
  methods: Array<string>;
}

export interface Status {
  id: string;
  email: string | null;
  email_verified: boolean;
  status: string;
}

export interface TOTPAnswer {
  created_at: string;
  last_used_at: string | null;
}

export interface Tokens {
  /** Send it as `Authorization: Bearer ...`. */
  access_token: string;
  /** Exchange it at POST /v1/auth/refresh. It works once. */
  refresh_token: string;
  token_type?: string;
  /** Seconds until the access token expires. */
  expires_in: number;
  /** Seconds until the refresh token expires if it is not used. */
  refresh_expires_in: number;
  /** Only after a sign-in. Keep it when the session ends, and send it with the next sign-in. */
  device_token?: string;
}

export interface UndoEmailChangeBody {
  token: string;
}

export interface VerifiedEmail {
  email: string;
  email_verified: boolean;
}

export interface VerifyEmailBody {
  /** From the link. Send it, or `email` and `code`. */
  token?: string | null;
  email?: string | null;
  /** 8 letters, valid for 15 minutes and 5 tries. */
  code?: string | null;
}

export interface ShowPageToConfirmAddressQuery {
  token?: string;
}

export interface ShowPageToRefuseRegistrationQuery {
  token?: string;
}

export interface ShowPageToKeepSecondFactorQuery {
  token?: string;
}

export interface ListSessionsQuery {
  limit?: number;
}

export interface ShowPageToSetNewPasswordQuery {
  token?: string;
}

export interface ListActivityQuery {
  limit?: number;
}

export interface StartSigningInWithGoogleQuery {
  redirect?: boolean;
  cancel_deletion?: boolean;
  code_challenge?: string | null;
}

export interface GoogleRedirectCallbackQuery {
  state?: string;
  code?: string | null;
  error?: string | null;
}

export interface ShowPageToConfirmNewAddressQuery {
  token?: string;
}

export interface ShowPageToTakeOldAddressBackQuery {
  token?: string;
}
