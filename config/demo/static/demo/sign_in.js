// Registering, confirming the address, and every way in: password, second step, passkey, Google.

import { call, hasSession, keepTokens, thisDevice } from "./api.js";
import { watch } from "./inbox.js";
import * as passkeys from "./passkeys.js";
import { clearProblem, find, onClick, onSubmit, say, show, showProblem } from "./view.js";

const anonymous = true;
let signedIn = null;
let halfSignIn = null; // between the two steps: the token that carries the first one
let keepAccount = null; // signs in again, and takes back the deletion of the account

/** `done()` runs after each sign-in. */
export function start(done) {
  signedIn = done;
  onSubmit(find("register"), register);
  onSubmit(find("verify"), verify);
  onClick(find("resend"), resend);
  onSubmit(find("sign-in"), withPassword);
  onSubmit(find("second-step"), withCode);
  onClick(find("second-step-passkey"), withPasskeyAsSecondStep);
  onClick(find("second-step-cancel"), leaveSecondStep);
  onClick(find("sign-in-passkey"), withPasskey);
  if (find("sign-in-google")) onClick(find("sign-in-google"), () => toGoogle());
  onSubmit(find("reset"), askForReset);
  onClick(find("keep-account"), () => keepAccount());
  if (!passkeys.supported()) show(find("sign-in-passkey"), false);
}

async function register(fields) {
  const { detail } = await call("POST", "/v1/auth/register", { body: fields, anonymous });
  find("verify").elements.email.value = fields.email;
  find("sign-in").elements.email.value = fields.email;
  say(detail); // the same whether or not the address was free: nobody learns who has an account
  await watch(fields.email);
}

async function verify(fields) {
  const { email } = await call("POST", "/v1/auth/verify-email", { body: fields, anonymous });
  find("verify").elements.code.value = "";
  say(`${email} is confirmed.`);
  document.dispatchEvent(new CustomEvent("account-changed"));
}

async function resend() {
  const email = find("verify").elements.email.value;
  say((await call("POST", "/v1/auth/resend-verification", { body: { email }, anonymous })).detail);
  await watch(email);
}

async function askForReset(fields) {
  say((await call("POST", "/v1/auth/password-reset-request", { body: fields, anonymous })).detail);
  await watch(fields.email);
}

function withPassword(fields, _submitter, extra = {}) {
  const again = () => withPassword(fields, null, { cancel_deletion: true });
  return finish(call("POST", "/v1/auth/login", { body: { ...fields, ...extra, ...thisDevice() }, anonymous }), again);
}

async function withPasskey() {
  const ceremony = async (extra) => {
    const options = await call("POST", "/v1/auth/passkey/options", { body: {}, anonymous });
    const body = { credential: await passkeys.get(options), ...extra, ...thisDevice() };
    return call("POST", "/v1/auth/passkey/login", { body, anonymous });
  };
  await finish(ceremony({}), () => finish(ceremony({ cancel_deletion: true })));
}

/** Waits for the answer of a call that signs in, and takes the two answers on which one can go on. */
async function finish(answer, again) {
  try {
    keepTokens(await answer);
  } catch (problem) {
    if (problem.code === "mfa_required") return askSecondStep(problem.document);
    if (problem.code === "deletion_pending") offerToKeep(again);
    throw problem;
  }
  leaveSecondStep();
  show(find("deletion-pending"), false);
  await signedIn();
}

function offerToKeep(again) {
  keepAccount = again;
  show(find("deletion-pending"));
}

// ---------------------------------------------------------------- the second step

function askSecondStep({ mfa_token, methods }) {
  halfSignIn = mfa_token; // five minutes, five tries
  show(find("deletion-pending"), false);
  show(find("first-step"), false);
  show(find("second-step"));
  show(find("second-step-code"), methods.some((name) => name !== "passkey"));
  show(find("second-step-passkey"), methods.includes("passkey"));
  find("second-step").elements.code.focus();
}

export function leaveSecondStep() {
  halfSignIn = null;
  clearProblem(find("second-step"));
  find("second-step").reset();
  show(find("second-step"), false);
  show(find("first-step"));
}

/** Of the authenticator app, or one of the recovery codes. */
function withCode({ code }) {
  const body = { mfa_token: halfSignIn, code, ...thisDevice() };
  return finish(call("POST", "/v1/auth/login/mfa", { body, anonymous }));
}

async function withPasskeyAsSecondStep() {
  const body = { mfa_token: halfSignIn };
  const options = await call("POST", "/v1/auth/passkey/options", { body, anonymous });
  const credential = await passkeys.get(options);
  await finish(call("POST", "/v1/auth/login/mfa", { body: { ...body, credential, ...thisDevice() }, anonymous }));
}

// ---------------------------------------------------------------- Google

/** The answer sets a cookie that ties what comes back to this browser. Google then leads to /demo/google. */
export async function toGoogle({ cancelDeletion = false } = {}) {
  const path = `/v1/auth/google/login${cancelDeletion ? "?cancel_deletion=true" : ""}`;
  location.assign((await call("GET", path, { anonymous })).authorization_url);
}

/** At /demo/google, which is GOOGLE_REDIRECT_URI: passes on what Google sent. Also the end of linking an account. */
export async function backFromGoogle() {
  const sent = new URLSearchParams(location.search);
  history.replaceState(null, "", "/demo"); // the code is used once, and is nobody's business in the history
  const names = ["state", "code", "error"].filter((name) => sent.has(name));
  const body = Object.fromEntries(names.map((name) => [name, sent.get(name)]));
  try {
    const answer = await call("POST", "/v1/auth/google/callback", { body, anonymous });
    if (answer.google_linked) return say("Google opens this account from now on.");
    if (hasSession()) await call("POST", "/v1/auth/logout").catch(() => {}); // of before: this one takes its place
    keepTokens(answer);
  } catch (problem) {
    if (problem.code === "mfa_required") return askSecondStep(problem.document);
    if (problem.code === "deletion_pending") offerToKeep(() => toGoogle({ cancelDeletion: true }));
    showProblem(find("arrival"), problem);
  }
}
