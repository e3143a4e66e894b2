// The dialog that a sensitive call opens when the sign-in is older than five minutes.

import { auth } from "./api.js";
import { toGoogle } from "./sign_in.js";
import { clearProblem, find, onClick, onSubmit, show } from "./view.js";

let settle = null;

export function start() {
  onSubmit(find("prove-password"), ({ password }) => done(auth.prove({ password })));
  onSubmit(find("prove-code"), ({ code }) => done(auth.prove({ code })));
  onClick(find("prove-passkey"), () => done(auth.proveWithPasskey()));
  // With Google's own script in the page: POST /v1/auth/google/nonce, ask it for an ID token with that nonce, and
  // prove({ id_token }). Without it, a full sign-in does the same, at the price of leaving the page.
  onClick(find("prove-google"), () => toGoogle());
  find("prove-cancel").addEventListener("click", () => find("prove").close());
  find("prove").addEventListener("close", () => settle?.reject(new Error("Nothing was changed.")));
}

/** `methods` are those of the problem document: what this account can send as a proof. None: only a new sign-in. */
export function ask(methods) {
  const dialog = find("prove");
  clearProblem(dialog);
  dialog.querySelectorAll("form").forEach((form) => form.reset());
  show(find("prove-password"), methods.includes("password"));
  show(find("prove-code"), methods.includes("code"));
  show(find("prove-passkey"), methods.includes("credential"));
  show(find("prove-google"), methods.includes("id_token"));
  show(find("prove-nothing"), methods.length === 0);
  return new Promise((resolve, reject) => {
    settle = { resolve, reject };
    dialog.showModal();
  });
}

async function done(proof) {
  await proof;
  settle.resolve();
  find("prove").close();
}
