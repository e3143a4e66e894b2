/** Passkeys: what the browser and the service exchange, as JSON. */
export async function provePasskey(options) {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    return json(await navigator.credentials.get({ publicKey }));
}
export async function makePasskey(options) {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    return json(await navigator.credentials.create({ publicKey }));
}
/** Return whether this browser supports passkeys. */
export function hasPasskeys() {
    return typeof PublicKeyCredential !== "undefined" && "parseRequestOptionsFromJSON" in PublicKeyCredential;
}
function json(credential) {
    if (!(credential instanceof PublicKeyCredential))
        throw new DOMException("No passkey was chosen.", "NotAllowedError");
    return credential.toJSON();
}
