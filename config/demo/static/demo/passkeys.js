// WebAuthn: the API speaks the JSON forms of Level 3, so the browser does all the conversions.

export const supported = () => Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON);

/** Makes a passkey from the options of POST /v1/auth/mfa/passkeys/options. */
export async function create(options) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return (await navigator.credentials.create({ publicKey })).toJSON();
}

/** Answers the options of POST /v1/auth/passkey/options. */
export async function get(options) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return (await navigator.credentials.get({ publicKey })).toJSON();
}
