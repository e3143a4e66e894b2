// Second factors: authenticator app, recovery codes, passkeys. All of it needs a recent sign-in.

import { call } from "./api.js";
import * as passkeys from "./passkeys.js";
import { button, day, fill, find, make, onClick, onSubmit, row, say, show } from "./view.js";

const changed = () => document.dispatchEvent(new CustomEvent("account-changed"));

export function start() {
  onClick(find("factors-show"), load);
  onClick(find("totp-add"), addTOTP);
  onSubmit(find("totp-confirm"), confirmTOTP);
  onClick(find("totp-remove"), () => remove("/v1/auth/mfa/totp"));
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
  const { totp, passkeys: known, recovery_codes_left: left, enabled } = await call("GET", "/v1/auth/mfa");
  show(find("factors-show"), false);
  show(find("factors-list"));
  find("totp-state").textContent = totp ? `Added ${day(totp.created_at)}.` : "None.";
  show(find("totp-add"), !totp);
  show(find("totp-remove"), Boolean(totp));
  fill(find("passkeys"), known.map(passkeyRow), "None.");
  find("codes-left").textContent = enabled ? `${left} left.` : "They come with the first factor.";
  show(find("codes-renew"), enabled);
}

async function addTOTP() {
  const { qr_svg, secret, otpauth_url } = await call("POST", "/v1/auth/mfa/totp");
  // As an image: the SVG is text of the API, and stays outside of this page's markup.
  find("totp-picture").src = `data:image/svg+xml,${encodeURIComponent(qr_svg)}`;
  find("totp-secret").textContent = secret.match(/.{1,4}/g).join(" ");
  find("totp-link").href = otpauth_url;
  show(find("totp-confirm"));
  find("totp-confirm").elements.code.focus();
}

async function confirmTOTP(fields) {
  const { recovery_codes: codes } = await call("POST", "/v1/auth/mfa/totp/confirm", { body: fields });
  find("totp-confirm").reset();
  show(find("totp-confirm"), false);
  find("totp-picture").removeAttribute("src");
  await added("The authenticator app is added: signing in takes two steps now.", codes);
}

async function addPasskey({ name }) {
  const options = await call("POST", "/v1/auth/mfa/passkeys/options");
  const body = { credential: await passkeys.create(options), name };
  const { recovery_codes: codes } = await call("POST", "/v1/auth/mfa/passkeys", { body });
  find("passkey-add").reset();
  await added("The passkey is added. It also signs in by itself.", codes);
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
  showCodes((await call("POST", "/v1/auth/mfa/recovery-codes")).recovery_codes);
  await load();
}

function passkeyRow({ id, name, created_at }) {
  const path = `/v1/auth/mfa/passkeys/${id}`;
  const gone = button("Remove", () => remove(path), { label: `Remove ${name}`, place: find("factors") });
  return row(name || "Passkey", `Added ${day(created_at)}`, gone);
}

async function remove(path) {
  await call("DELETE", path);
  await load();
  changed();
  say("Removed.");
}
