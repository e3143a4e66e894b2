// The client of this service (clients/typescript), and what this page adds: it shows its requests, and when a call needs
// a recent sign-in it asks the user for a proof. Everything else here goes through `auth`.
//
// Where to keep tokens is each front end's decision. `sharedStore` is localStorage: all tabs are one session, and one of
// them renews it for all. Consider:
// - Any script that runs in your page can read localStorage. To keep foreign scripts out, use a strict
//   Content-Security-Policy such as this page's, and never build markup from text.
// - A small back end of your own that keeps the refresh token in an HttpOnly, Secure, SameSite cookie and hands out
//   access tokens puts it out of reach of scripts. If there is money behind the account, do that.
// - localStorage survives closing the browser, for the next person at this computer. `memoryStore` forgets at a reload.

import { createClient, isProblem, Problem, sharedStore } from "./client/index.js";
import { traced } from "./requests.js";

export { hasPasskeys, isProblem, Problem, SecondFactor } from "./client/index.js";

export const auth = createClient({ url: location.origin, store: sharedStore("demo"), fetch: traced });

let proveAgain = null;

/** `ask(methods)` lets people prove again who they are; it resolves once that is done and rejects if they will not. */
export function onReauthentication(ask) {
  proveAgain = ask;
}

/** Make a sensitive call. Where it asks for a sign-in of the last five minutes, have that proved and make it once more. */
export async function proven(call) {
  try {
    return await call();
  } catch (problem) {
    if (!isProblem(problem, "reauthentication_required")) throw problem;
    await proveAgain(problem.document.methods);
    return call();
  }
}

/** Keep the tokens of an answer that has some; this page's own way back from Google has. */
export function keep(tokens) {
  return auth.session.open(tokens);
}

/** A call of the shop's own server side, which is sent the access token. `key` is one for each decision of a person. */
export async function shop(method, path, { body, key, anonymous = false } = {}) {
  const headers = { "Content-Type": "application/json", ...(key && { "Idempotency-Key": key }) };
  const request = { method, headers, body: body && JSON.stringify(body) };
  const answer = await (anonymous ? traced : (...sent) => auth.fetch(...sent))(`/demo/api/${path}`, request);
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  throw new Problem({ status: answer.status, code: "unknown", detail: answer.statusText, ...content });
}
