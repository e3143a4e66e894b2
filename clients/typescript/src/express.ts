/** Authentication of requests for Express: `app.use(signedIn(auth))`, then `req.identity`. */
import { isTurned, judge, type GuardSettings } from "./guard.js";
import type { Identity, Verifier } from "./tokens.js";

interface Request {
  headers: { authorization?: string | undefined };
  identity?: Identity;
}

interface Response {
  status(code: number): Response;
  set(headers: Record<string, string>): Response;
  json(body: unknown): unknown;
}

/** Middleware: 401 without a live access token, 403 without a verified address, 503 while the service is down. */
export function signedIn(verifier: Verifier, settings: GuardSettings = {}) {
  return async (request: Request, response: Response, next: (error?: unknown) => void): Promise<void> => {
    try {
      const found = await judge(verifier, request.headers.authorization, settings);
      if (isTurned(found)) {
        response.status(found.status).set(found.headers).json({ detail: found.detail });
        return;
      }
      request.identity = found;
    } catch (error) {
      next(error);
      return;
    }
    next();
  };
}

export type { Identity };
