import { AuthServiceError, TokenRefused } from "./errors.js";
import { bearer, type Identity, type Verifier } from "./tokens.js";

/** Settings of the protection. */
export interface GuardSettings {
  /** Whether a verified address is required; true by default. */
  verified?: boolean;
}

/** The reason for a refusal. */
export interface Turned {
  status: 401 | 403 | 503;
  detail: string;
  headers: Record<string, string>;
}

/** Return the identity behind an Authorization header, or the refusal: the rule that all frameworks' helpers share. */
export async function judge(
  verifier: Verifier,
  header: string | null | undefined,
  { verified = true }: GuardSettings = {},
): Promise<Identity | Turned> {
  const token = bearer(header);
  if (token === null) return turned(401, "Send an access token.", { "WWW-Authenticate": "Bearer" });
  try {
    const identity = await verifier.verifyToken(token);
    return !verified || identity.emailVerified ? identity : turned(403, "Verify the email address first.");
  } catch (error) {
    if (error instanceof TokenRefused) return turned(401, error.message, { "WWW-Authenticate": 'Bearer error="invalid_token"' });
    if (error instanceof AuthServiceError) return turned(503, "Who you are cannot be found out now.", { "Retry-After": "5" });
    throw error;
  }
}

export function isTurned(found: Identity | Turned): found is Turned {
  return "detail" in found;
}

function turned(status: Turned["status"], detail: string, headers: Record<string, string> = {}): Turned {
  return { status, detail, headers };
}
