// The page: who is here, and which parts they see. Each part has a module of its own; api.js does the calling.

import * as account from "./account.js";
import { hasSession, onReauthentication } from "./api.js";
import * as factors from "./factors.js";
import * as inbox from "./inbox.js";
import * as reauthentication from "./reauthentication.js";
import * as sessions from "./sessions.js";
import * as shop from "./shop.js";
import * as signIn from "./sign_in.js";
import { find, say, show, showProblem } from "./view.js";

async function showAccount() {
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

function showNobody(text) {
  signIn.leaveSecondStep();
  show(find("somebody"), false);
  show(find("account-bar"), false);
  show(find("unverified"), false);
  show(find("verify-part"));
  show(find("nobody"));
  if (text) say(text);
}

/** Where somebody comes from: Google, Stripe, or nowhere in particular. */
async function arrive() {
  if (location.pathname === "/demo/google") await signIn.backFromGoogle();
  const checkout = new URLSearchParams(location.search).get("checkout");
  if (!hasSession()) return showNobodyQuietly();
  if (checkout) {
    history.replaceState(null, "", "/demo");
    await shop.backFromCheckout(checkout);
  }
  await showAccount();
}

/** Without a word over what was just said, or over a second step that was just asked for. */
function showNobodyQuietly() {
  show(find("nobody"));
}

signIn.start(showAccount);
account.start(showNobody);
factors.start();
sessions.start();
shop.start();
inbox.start();
reauthentication.start();
onReauthentication(reauthentication.ask);
document.addEventListener("signed-out", ({ detail }) => showNobody(detail.message));
document.addEventListener("account-changed", () => hasSession() && load());
arrive().catch((problem) => {
  if (hasSession()) showProblem(find("arrival"), problem);
});
