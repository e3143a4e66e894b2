// Calling the API: tokens, refreshing them, and problem documents. Everything else here goes through `call`.
//
// Where to keep tokens is a decision of each front end. This page keeps the access token in memory only and the refresh
// token in sessionStorage, so that a reload, and the way to Google or Stripe and back, do not sign anybody out. Weigh:
// - Whatever script runs in your page can read sessionStorage (and use what is in memory). What keeps strange scripts
//   out is a strict Content-Security-Policy such as this page's, and no markup made of text.
// - A small server side of your own that keeps the refresh token in an HttpOnly, Secure, SameSite cookie and hands out
//   access tokens takes it out of reach of scripts. With money behind the account, do that.
// - "Duplicate tab" copies sessionStorage: two tabs then hold one refresh token. Each token has one successor; after 60
//   seconds the use of an older one means theft and ends the session. So never share one between tabs or devices.
// - localStorage stays after the browser is closed, for whoever comes next.

// - Beside the token lies the Idempotency-Key of its one refresh, kept before the call: an app that was suspended while it
//   waited for the answer asks with both again, and gets the same successor for ten minutes.

const REFRESH_TOKEN = "demo.refresh_token";
const REFRESH_KEY = "demo.refresh_key";
const DEVICE_TOKEN = "demo.device_token"; // stays: it opens nothing, and gets its owner in while strangers guess

let accessToken = null;
let signIns = 0; // which sign-in of this page the tokens are of
let refreshing = null;
let proveAgain = null;

/** A refusal: RFC 9457 `application/problem+json`. Decide by `code`; `detail` is a sentence for people. */
export class Problem extends Error {
  constructor(document) {
    super(document.detail);
    this.document = document;
    this.code = document.code;
  }
}

/** Takes the answer of any call that signs in. */
export function keepTokens(tokens) {
  signIns += 1;
  store(tokens);
  if (tokens.device_token) localStorage.setItem(DEVICE_TOKEN, tokens.device_token);
}

/** What goes along with each sign-in: the token that the last one on this device gave, if there was one. */
export function thisDevice() {
  const token = localStorage.getItem(DEVICE_TOKEN);
  return token === null ? {} : { device_token: token };
}

/** Takes the answer of POST /v1/auth/reauthenticate: this access token alone carries the proof, a refresh does not. */
export function keepAccessToken(proved) {
  accessToken = proved.access_token;
}

export function forgetTokens() {
  signIns += 1;
  accessToken = null;
  sessionStorage.removeItem(REFRESH_TOKEN);
  sessionStorage.removeItem(REFRESH_KEY);
}

function store(tokens) {
  accessToken = tokens.access_token;
  sessionStorage.setItem(REFRESH_KEY, randomKey());
  sessionStorage.setItem(REFRESH_TOKEN, tokens.refresh_token);
}

function randomKey() {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
}

export function hasSession() {
  return sessionStorage.getItem(REFRESH_TOKEN) !== null;
}

/** `ask(methods)` lets the user prove again who they are; it resolves once that is done and rejects if they will not. */
export function onReauthentication(ask) {
  proveAgain = ask;
}

/**
 * One call. Resolves with the body (null for 204) and rejects with a Problem.
 *
 * `body`: an object, sent as JSON. `key`: the Idempotency-Key of what the user decided; use the same one when you repeat
 * it. `anonymous`: sends no access token, as calls that sign in must not.
 */
export async function call(method, path, options = {}) {
  try {
    return await authorized(method, path, options);
  } catch (problem) {
    // Sensitive calls ask for a sign-in of the last five minutes. Prove it and do the same again, once.
    if (problem.code !== "reauthentication_required" || !proveAgain) throw problem;
    await proveAgain(problem.document.methods, problem);
    return authorized(method, path, options);
  }
}

async function authorized(method, path, options) {
  if (options.anonymous) return send(method, path, options, null);
  if (accessToken === null && hasSession()) await refresh();
  const [used, signIn] = [accessToken, signIns];
  try {
    return await send(method, path, options, used);
  } catch (problem) {
    // Never again in the name of somebody who has signed in meanwhile.
    if (problem.document?.status !== 401 || !hasSession() || signIn !== signIns) throw problem;
    // It has run out, or the session has ended. Another call may have refreshed since; then only try again.
    if (used === accessToken) await refresh();
    return send(method, path, options, accessToken);
  }
}

/** Single flight: however many calls find the token expired, one refresh goes out and all wait for it. */
export function refresh() {
  refreshing ??= exchange().finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function exchange() {
  const signIn = signIns;
  const body = { refresh_token: sessionStorage.getItem(REFRESH_TOKEN) };
  try {
    const key = sessionStorage.getItem(REFRESH_KEY) ?? undefined;
    const tokens = await send("POST", "/v1/auth/refresh", { body, key }, null);
    if (signIn === signIns) store(tokens); // else somebody has signed out meanwhile: do not bring it back
  } catch (problem) {
    // Only a 401 says that the session is over. After anything else (429, 503, no network) the token is as good as
    // before: a repeat within 60 seconds gets the same successor, also when an answer was lost.
    if (problem.document?.status === 401 && signIn === signIns) {
      forgetTokens();
      document.dispatchEvent(new CustomEvent("signed-out", { detail: problem }));
    }
    throw problem;
  }
}

async function send(method, path, { body, key }, token) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key !== undefined) headers["Idempotency-Key"] = key;
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  const answer = await reach(path, { method, headers, body: body && JSON.stringify(body) });
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  throw new Problem({ status: answer.status, code: "unknown", detail: answer.statusText, ...content });
}

async function reach(path, request) {
  try {
    // The default `credentials: "same-origin"` is enough here. A front end on another origin (CORS_ALLOWED_ORIGINS) says
    // "include" for the calls of signing in with Google, which need their cookie, and nowhere else.
    return await fetch(path, request);
  } catch {
    throw new Problem({ status: 0, code: "unreachable", detail: "The service cannot be reached. Try again." });
  }
}
