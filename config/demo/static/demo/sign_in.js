// Registering, confirming the address, and every way in: password, second step, passkey, Google.

import { auth, hasPasskeys, isProblem, keep, SecondFactor } from "./api.js";
import { watch } from "./inbox.js";
import { clearProblem, find, onClick, onSubmit, say, show, showProblem } from "./view.js";

let secondFactor = null; // between the two steps: proof of the first one, for five minutes and five attempts
let keepAccount = null; // signs in again, and cancels the deletion of the account

export function start() {
  onSubmit(find("register"), register);
  onSubmit(find("verify"), verify);
  onClick(find("resend"), resend);
  onSubmit(find("sign-in"), (fields) => signIn((extra) => auth.signIn({ ...fields, ...extra })));
  onClick(find("sign-in-passkey"), () => signIn((extra) => auth.signInWithPasskey(extra)));
  onSubmit(find("second-step"), ({ code }) => secondFactor.withCode(code));
  onClick(find("second-step-passkey"), () => secondFactor.withPasskey());
  onClick(find("second-step-cancel"), leaveSecondStep);
  if (find("sign-in-google")) onClick(find("sign-in-google"), () => toGoogle());
  onSubmit(find("reset"), askForReset);
  onClick(find("keep-account"), () => keepAccount());
  if (!hasPasskeys()) show(find("sign-in-passkey"), false);
}

async function register(fields) {
  const { detail } = await auth.signUp(fields);
  find("verify").elements.email.value = fields.email;
  find("sign-in").elements.email.value = fields.email;
  say(detail); // the same whether or not the address was free: nobody learns who has an account
  await watch(fields.email);
}

async function verify(fields) {
  const { email } = await auth.confirmAddress(fields);
  find("verify").elements.code.value = "";
  say(`${email} is confirmed.`);
  document.dispatchEvent(new CustomEvent("account-changed"));
}

async function resend() {
  const email = find("verify").elements.email.value;
  say((await auth.sendConfirmationAgain({ email })).detail);
  await watch(email);
}

async function askForReset(fields) {
  say((await auth.password.requestReset(fields)).detail);
  await watch(fields.email);
}

/** Once the session is open, main.js shows the account. Here are the two other answers on which one can go on. */
async function signIn(attempt, extra = {}) {
  try {
    const step = await attempt(extra);
    if (!step.signedIn) askSecondStep(step);
  } catch (problem) {
    if (isProblem(problem, "deletion_pending")) offerToKeep(() => signIn(attempt, { cancel_deletion: true }));
    throw problem;
  }
}

function offerToKeep(again) {
  keepAccount = again;
  show(find("deletion-pending"));
}

// ---------------------------------------------------------------- the second step

function askSecondStep(step) {
  secondFactor = step;
  show(find("deletion-pending"), false);
  show(find("first-step"), false);
  show(find("second-step"));
  show(find("second-step-code"), step.methods.some((name) => name !== "passkey"));
  show(find("second-step-passkey"), step.methods.includes("passkey"));
  find("second-step").elements.code.focus();
}

export function leaveSecondStep() {
  secondFactor = null;
  clearProblem(find("second-step"));
  find("second-step").reset();
  show(find("second-step"), false);
  show(find("deletion-pending"), false);
  show(find("first-step"));
}

// ---------------------------------------------------------------- Google

/**
 * The answer sets a cookie that ties what comes back to this browser. Google then leads to /demo/google. A front end
 * whose address is FRONTEND_URL uses `startGoogle` and `finishGoogle` of the client in its place.
 */
export async function toGoogle({ cancelDeletion = false } = {}) {
  const { url } = await auth.startGoogle(cancelDeletion ? { cancel_deletion: true } : {});
  location.assign(url);
}

/** At /demo/google, which is GOOGLE_REDIRECT_URI: passes on what Google sent. Also the end of linking an account. */
export async function backFromGoogle() {
  const sent = new URLSearchParams(location.search);
  history.replaceState(null, "", "/demo"); // the code is used once, and is nobody's business in the history
  const names = ["state", "code", "error"].filter((name) => sent.has(name));
  const body = Object.fromEntries(names.map((name) => [name, sent.get(name)]));
  try {
    const answer = await auth.open("google/callback", body);
    if (answer.google_linked) return say("You can now sign in with Google.");
    if (await auth.session.isOpen) await auth.signOut().catch(() => {}); // the earlier session: the new one replaces it
    await keep(answer);
  } catch (problem) {
    if (isProblem(problem, "mfa_required")) {
      const { mfa_token, methods } = problem.document;
      return askSecondStep(new SecondFactor(auth, mfa_token, methods));
    }
    if (isProblem(problem, "deletion_pending")) offerToKeep(() => toGoogle({ cancelDeletion: true }));
    showProblem(find("arrival"), problem);
  }
}
