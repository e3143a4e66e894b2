// Second factors: authenticator app, recovery codes, passkeys. All of it needs a recent sign-in.

import { auth, proven } from "./api.js";
import { button, day, fill, find, make, onClick, onSubmit, row, say, show } from "./view.js";

const changed = () => document.dispatchEvent(new CustomEvent("account-changed"));

export function start() {
  onClick(find("factors-show"), load);
  onClick(find("totp-add"), addTOTP);
  onSubmit(find("totp-confirm"), confirmTOTP);
  onClick(find("totp-remove"), () => remove(() => auth.factors.removeApp()));
  onSubmit(find("passkey-add"), addPasskey);
  onClick(find("codes-renew"), renewCodes);
}

/** Not before it is asked for: it may ask who you are first. */
export function reset() {
  show(find("factors-show"));
  show(find("factors-list"), false);
  show(find("totp-confirm"), false);
  show(find("recovery-codes"), false);
}

export async function load() {
  const { totp, passkeys, recovery_codes_left: left, enabled } = await proven(() => auth.factors.list());
  show(find("factors-show"), false);
  show(find("factors-list"));
  find("totp-state").textContent = totp ? `Added ${day(totp.created_at)}.` : "None.";
  show(find("totp-add"), !totp);
  show(find("totp-remove"), Boolean(totp));
  fill(find("passkeys"), passkeys.map(passkeyRow), "None.");
  find("codes-left").textContent = enabled ? `${left} left.` : "You get them with your first factor.";
  show(find("codes-renew"), enabled);
}

async function addTOTP() {
  const { qr_svg, secret, otpauth_url } = await proven(() => auth.factors.startApp());
  // As an image: the SVG is text from the API, and stays out of this page's markup.
  find("totp-picture").src = `data:image/svg+xml,${encodeURIComponent(qr_svg)}`;
  find("totp-secret").textContent = secret.match(/.{1,4}/g).join(" ");
  find("totp-link").href = otpauth_url;
  show(find("totp-confirm"));
  find("totp-confirm").elements.code.focus();
}

async function confirmTOTP({ code }) {
  const { recovery_codes: codes } = await proven(() => auth.factors.confirmApp(code));
  find("totp-confirm").reset();
  show(find("totp-confirm"), false);
  find("totp-picture").removeAttribute("src");
  await added("The authenticator app is added. Two-step sign-in is on.", codes);
}

async function addPasskey({ name }) {
  const { recovery_codes: codes } = await proven(() => auth.factors.addPasskey(name));
  find("passkey-add").reset();
  await added("The passkey is added. You can also sign in with it alone.", codes);
}

async function added(text, codes) {
  await load();
  changed();
  showCodes(codes);
  say(text);
}

/** Shown this once, and empty where the account had some already. */
function showCodes(codes) {
  if (!codes.length) return;
  find("codes").replaceChildren(...codes.map((code) => make("li", {}, make("code", {}, code))));
  show(find("recovery-codes"));
}

async function renewCodes() {
  showCodes((await proven(() => auth.factors.newRecoveryCodes())).recovery_codes);
  await load();
}

function passkeyRow({ id, name, created_at }) {
  const act = () => remove(() => auth.factors.removePasskey(id));
  const gone = button("Remove", act, { label: `Remove ${name}`, place: find("factors") });
  return row(name || "Passkey", `Added ${day(created_at)}`, gone);
}

async function remove(call) {
  await proven(call);
  await load();
  changed();
  say("Removed.");
}
