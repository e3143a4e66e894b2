// The account: profile, address, password, Google, export, deletion, and what has happened.

import { auth, proven } from "./api.js";
import { watch } from "./inbox.js";
import { day, fill, find, make, onClick, onSubmit, row, say, show } from "./view.js";

let me = null;
const changed = () => document.dispatchEvent(new CustomEvent("account-changed"));

export function start() {
  onSubmit(find("profile"), changeProfile);
  onSubmit(find("address"), changeAddress);
  onSubmit(find("password"), changePassword);
  onClick(find("google-link"), linkGoogle);
  onClick(find("google-unlink"), unlinkGoogle);
  onClick(find("export"), exportData);
  onSubmit(find("delete"), deleteAccount);
  onClick(find("sign-out"), () => leave(auth.signOut()));
  onClick(find("sign-out-everywhere"), () => leave(auth.signOutEverywhere()));
}

/** Who is signed in. An address that is not verified opens the status alone; the rest is 403 `email_not_verified`. */
export async function load() {
  const status = await auth.account.status();
  find("who").textContent = status.email;
  show(find("unverified"), !status.email_verified);
  show(find("verify-part"), !status.email_verified);
  document.querySelectorAll("[data-verified]").forEach((part) => show(part, status.email_verified));
  find("verify").elements.email.value = status.email;
  find("inbox").elements.to.value = status.email;
  if (!status.email_verified) return false;
  me = await auth.account.get();
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
  me = await auth.account.update(fields);
  showProfile();
  say("Saved.");
}

/** The link in the mail to the new address confirms it; that ends every session, this one too. */
async function changeAddress(fields) {
  say((await proven(() => auth.account.changeEmail(fields))).detail);
  await watch(fields.new_email);
}

async function changePassword(fields) {
  if (!me.has_password) delete fields.current_password;
  await proven(() => auth.password.change(fields));
  find("password").reset();
  say("The password is changed. You are signed out everywhere else.");
  changed();
}

async function linkGoogle() {
  const { authorization_url } = await proven(() => auth.call("POST", "google/link", { body: {} }));
  location.assign(authorization_url);
}

async function unlinkGoogle() {
  await proven(() => auth.call("POST", "google/unlink"));
  say("Google is unlinked.");
  changed();
}

async function exportData() {
  const data = JSON.stringify(await proven(() => auth.account.export()), null, 2);
  const url = URL.createObjectURL(new Blob([data], { type: "application/json" }));
  make("a", { href: url, download: "my-data.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  find("exported").textContent = data;
  show(find("exported"));
}

async function deleteAccount() {
  const { deletes_at } = await proven(() => auth.account.delete());
  find("delete").reset();
  say(`The account will be deleted on ${day(deletes_at)}. Sign in before then to keep it.`);
}

async function leave(signingOut) {
  await signingOut;
  say("Signed out.");
}

async function loadActivity() {
  const { results } = await auth.account.activity({ limit: 8 });
  fill(find("activity"), results.map(eventRow), "Nothing yet.");
}

function eventRow({ type, created_at, ip }) {
  return row(type.replaceAll("_", " "), ip ? `${day(created_at)}, ${ip}` : day(created_at));
}
