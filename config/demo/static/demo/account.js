// The own account: profile, address, password, Google, export, deletion, and what has happened.

import { call, forgetTokens } from "./api.js";
import { watch } from "./inbox.js";
import { day, fill, find, make, onClick, onSubmit, row, say, show } from "./view.js";

let me = null;
let leave = null;

/** `signedOut(text)` shows the page of nobody. */
export function start(signedOut) {
  leave = signedOut;
  onSubmit(find("profile"), changeProfile);
  onSubmit(find("address"), changeAddress);
  onSubmit(find("password"), changePassword);
  onClick(find("google-link"), linkGoogle);
  onClick(find("google-unlink"), unlinkGoogle);
  onClick(find("export"), exportData);
  onSubmit(find("delete"), deleteAccount);
  onClick(find("sign-out"), () => signOut("/v1/auth/logout"));
  onClick(find("sign-out-everywhere"), () => signOut("/v1/auth/logout-all"));
}

/** Who is signed in. An address that is not verified opens the status alone; the rest is 403 `email_not_verified`. */
export async function load() {
  const status = await call("GET", "/v1/auth/me/status");
  find("who").textContent = status.email;
  show(find("unverified"), !status.email_verified);
  show(find("verify-part"), !status.email_verified);
  document.querySelectorAll("[data-verified]").forEach((part) => show(part, status.email_verified));
  find("verify").elements.email.value = status.email;
  find("inbox").elements.to.value = status.email;
  if (!status.email_verified) return false;
  me = await call("GET", "/v1/auth/me");
  showProfile();
  await loadActivity();
  return true;
}

function showProfile() {
  const form = find("profile").elements;
  for (const name of ["display_name", "locale", "timezone"]) form[name].value = me[name];
  show(find("current-password"), me.has_password);
  find("current-password").querySelector("input").required = me.has_password;
  find("google-state").textContent = me.google_linked ? "Linked." : "Not linked.";
  show(find("google-link"), !me.google_linked);
  show(find("google-unlink"), me.google_linked);
}

async function changeProfile(fields) {
  me = await call("PATCH", "/v1/auth/me", { body: fields });
  showProfile();
  say("Saved.");
}

/** The link in the mail to the new address confirms it; that ends every session, this one too. */
async function changeAddress(fields) {
  say((await call("POST", "/v1/auth/change-email", { body: fields })).detail);
  await watch(fields.new_email);
}

async function changePassword(fields) {
  if (!me.has_password) delete fields.current_password;
  await call("POST", "/v1/auth/change-password", { body: fields });
  find("password").reset();
  say("The password is changed. All other sessions have ended.");
  document.dispatchEvent(new CustomEvent("account-changed"));
}

async function linkGoogle() {
  location.assign((await call("POST", "/v1/auth/google/link", { body: {} })).authorization_url);
}

async function unlinkGoogle() {
  await call("POST", "/v1/auth/google/unlink");
  say("Google opens this account no more.");
  document.dispatchEvent(new CustomEvent("account-changed"));
}

async function exportData() {
  const data = JSON.stringify(await call("GET", "/v1/auth/me/export"), null, 2);
  const url = URL.createObjectURL(new Blob([data], { type: "application/json" }));
  make("a", { href: url, download: "my-data.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  find("exported").textContent = data;
  show(find("exported"));
}

async function deleteAccount() {
  const { deletes_at } = await call("DELETE", "/v1/auth/me");
  find("delete").reset();
  forgetTokens();
  leave(`The account will be deleted on ${day(deletes_at)}. Signing in until then can keep it.`);
}

async function signOut(path) {
  await call("POST", path);
  forgetTokens();
  leave("Signed out.");
}

async function loadActivity() {
  const { results } = await call("GET", "/v1/auth/me/activity?limit=8");
  fill(find("activity"), results.map(eventRow), "Nothing yet.");
}

function eventRow({ type, created_at, ip }) {
  return row(type.replaceAll("_", " "), ip ? `${day(created_at)}, ${ip}` : day(created_at));
}
