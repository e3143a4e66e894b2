/**
 * Authentication of requests for Next.js route handlers, and anything else that takes a Request and returns a Response:
 * `export const GET = signedIn(auth, (request, identity) => Response.json(identity))`.
 */
import { isTurned, judge, type GuardSettings } from "./guard.js";
import type { Identity, Verifier } from "./tokens.js";

/** A handler: 401 without a live access token, 403 without a verified address, 503 while the service is down. */
export function signedIn<Rest extends unknown[]>(
  verifier: Verifier,
  handler: (request: Request, identity: Identity, ...rest: Rest) => Response | Promise<Response>,
  settings: GuardSettings = {},
): (request: Request, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => {
    const found = await judge(verifier, request.headers.get("Authorization"), settings);
    if (isTurned(found)) return Response.json({ detail: found.detail }, { status: found.status, headers: found.headers });
    return handler(request, found, ...rest);
  };
}
