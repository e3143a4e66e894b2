// The page: who is signed in, and which parts they see. Each part has its own module; api.js makes the calls.

import * as account from "./account.js";
import { auth, onReauthentication } from "./api.js";
import { SignedOut } from "./client/index.js";
import * as factors from "./factors.js";
import * as inbox from "./inbox.js";
import * as reauthentication from "./reauthentication.js";
import * as sessions from "./sessions.js";
import * as shop from "./shop.js";
import * as signIn from "./sign_in.js";
import { find, show, showProblem } from "./view.js";

async function showAccount() {
  signIn.leaveSecondStep();
  show(find("nobody"), false);
  show(find("somebody"));
  show(find("account-bar"));
  factors.reset();
  await load();
}

async function load() {
  const verified = await account.load();
  await sessions.load();
  if (verified) await shop.load();
}

function showNobody() {
  signIn.leaveSecondStep();
  show(find("somebody"), false);
  show(find("account-bar"), false);
  show(find("unverified"), false);
  show(find("verify-part"));
  show(find("nobody"));
}

/** Where somebody comes from: Google, Stripe, or nowhere in particular. */
async function arrive() {
  if (location.pathname === "/demo/google") await signIn.backFromGoogle();
  const checkout = new URLSearchParams(location.search).get("checkout");
  // Nobody is signed in: shown without replacing the last message or a second step that was just requested.
  if (!(await auth.session.isOpen)) return show(find("nobody"));
  if (checkout) {
    history.replaceState(null, "", "/demo");
    await shop.backFromCheckout(checkout);
  }
  await showAccount();
}

function complain(problem) {
  if (problem instanceof SignedOut && find("somebody").hidden) return; // signed out while the page was being filled
  if (problem instanceof SignedOut) showNobody(); // the service has ended the session since this page was last open
  showProblem(find("arrival"), problem);
}

signIn.start();
account.start();
factors.start();
sessions.start();
shop.start();
inbox.start();
reauthentication.start();
onReauthentication(reauthentication.ask);
document.addEventListener("account-changed", async () => (await auth.session.isOpen) && load().catch(complain));
await arrive().catch(complain);
// From here on: this tab signs in or out, another tab does, or the service has ended the session.
auth.session.onChange((isOpen) => (isOpen ? showAccount().catch(complain) : showNobody()));
