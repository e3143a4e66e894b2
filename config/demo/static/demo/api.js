// The client of this service (clients/typescript), and what this page adds: its requests are shown, and where a call
// asks for a recent sign-in the person is asked for a proof. Everything else here goes through `auth`.
//
// Where to keep tokens is a decision of each front end. `sharedStore` is localStorage: all tabs are one session, and one
// of them renews it for all. Weigh:
// - Whatever script runs in your page can read localStorage. What keeps strange scripts out is a strict
//   Content-Security-Policy such as this page's, and no markup made of text.
// - A small server side of your own that keeps the refresh token in an HttpOnly, Secure, SameSite cookie and hands out
//   access tokens takes it out of reach of scripts. With money behind the account, do that.
// - It stays after the browser is closed, for the next person at this computer. `memoryStore` forgets at a reload.

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
