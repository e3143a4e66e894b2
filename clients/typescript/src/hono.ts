/** Authentication of requests for Hono: `app.use("/api/*", signedIn(auth))`, then `c.get("identity")`. */
import { isTurned, judge, type GuardSettings } from "./guard.js";
import type { Identity, Verifier } from "./tokens.js";

interface Context {
  req: { header(name: string): string | undefined };
  set(name: "identity", value: Identity): void;
}

/** For `new Hono<{ Variables: SignedIn }>()`. */
export type SignedIn = { identity: Identity };

/** Middleware: 401 without a live access token, 403 without a verified address, 503 while the service is down. */
export function signedIn(verifier: Verifier, settings: GuardSettings = {}) {
  return async (context: Context, next: () => Promise<void>): Promise<Response | void> => {
    const found = await judge(verifier, context.req.header("Authorization"), settings);
    if (isTurned(found)) return Response.json({ detail: found.detail }, { status: found.status, headers: found.headers });
    context.set("identity", found);
    await next();
  };
}
