/** The service's public API for front ends: from signing up to signing out, in browsers, Node and workers. */
import { SignedOut } from "./errors.js";
import { call, isProblem, newKey } from "./http.js";
import { makePasskey, provePasskey } from "./passkeys.js";
import { memoryStore, sharedStore, TokenSession } from "./session.js";
export * from "./errors.js";
export { isProblem, newKey } from "./http.js";
export { hasPasskeys } from "./passkeys.js";
export { memoryStore, sharedStore, TokenSession } from "./session.js";
export function createClient(settings) {
    return new AuthClient(settings);
}
export class AuthClient {
    settings;
    session;
    account = new Account(this);
    devices = new Devices(this);
    factors = new Factors(this);
    password = new Password(this);
    #url;
    #proof = null;
    constructor(settings) {
        this.settings = settings;
        this.#url = settings.url.replace(/\/+$/, "");
        this.session = settings.session ?? new TokenSession(this.#url, settings.store ?? usualStore(), settings);
        this.session.onChange(() => (this.#proof = null));
    }
    /** Register. A mail with a link and a code is sent; the answer is the same whether or not the address is taken. */
    signUp(body) {
        return this.open("register", body);
    }
    /** Confirm an address with the link's `token`, or with `email` and `code`. */
    confirmAddress(body) {
        return this.open("verify-email", body);
    }
    sendConfirmationAgain(body) {
        return this.open("resend-verification", body);
    }
    /** Throws a Problem: `invalid_credentials`, `rate_limited`, `account_suspended`, `deletion_pending`. */
    async signIn(body) {
        return this.#signedIn("login", body);
    }
    async signInWithPasskey(body = {}) {
        const credential = await provePasskey(await this.open("passkey/options", {}));
        return this.#signedIn("passkey/login", { ...body, credential });
    }
    /** Return the URL to send the browser to, and the `verifier` to keep until Google has sent it back. */
    async startGoogle(query = {}) {
        const verifier = newKey() + newKey();
        const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
        const code_challenge = btoa(String.fromCharCode(...new Uint8Array(hash)))
            .replaceAll("+", "-")
            .replaceAll("/", "_")
            .replace(/=+$/, "");
        const answer = (await this.#ask("GET", "google/login", { query: { ...query, code_challenge } }));
        return { url: answer.authorization_url, verifier };
    }
    /** Sign in with the `code` that the browser brought back from Google, and the `verifier` that you kept. */
    async finishGoogle(code, verifier) {
        return this.#signedIn("exchange", { code, code_verifier: verifier });
    }
    /** End this session here and at the service. Throws if that does not answer; the session then expires by itself. */
    async signOut() {
        const body = await this.session.proofOfSignOut();
        try {
            if (body)
                await this.open("logout", body, true);
        }
        finally {
            await this.session.close();
        }
    }
    async signOutEverywhere() {
        await this.call("POST", "logout-all");
        await this.session.close();
    }
    /**
     * Confirm the sign-in again, with `password`, or with `code` if there is a second factor. Calls that need a recent
     * sign-in (`reauthentication_required`) then work for the next five minutes, in this tab.
     */
    async prove(body) {
        const proof = await this.call("POST", "reauthenticate", { body });
        const until = Date.now() + Math.min(proof.expires_in, 290) * 1000;
        this.#proof = { authorization: `Bearer ${proof.access_token}`, until };
    }
    async proveWithPasskey() {
        const credential = await provePasskey(await this.open("passkey/options", {}));
        await this.prove({ credential });
    }
    /** `fetch` with the access token, renewed if necessary; only to the page's origin, the service's, and `services`. */
    async fetch(input, init) {
        const request = new Request(input, init);
        if (!this.#mayGet(request))
            throw new TypeError(`${new URL(request.url).origin} is not among \`services\`.`);
        const send = this.settings.fetch ?? fetch;
        const authorization = await this.session.authorization();
        const answer = await send(authorized(request.clone(), authorization));
        if (answer.status !== 401)
            return answer;
        return send(authorized(request, await this.session.authorization(authorization)));
    }
    /** Make any call below /v1/auth as the signed-in user. Throws SignedOut. */
    async call(method, path, { body, query } = {}) {
        const proof = this.#proof && Date.now() < this.#proof.until ? this.#proof.authorization : null;
        const authorization = proof ?? (await this.session.authorization());
        const said = { body, query, authorization, repeatable: method === "GET" };
        try {
            return (await this.#ask(method, path, said));
        }
        catch (error) {
            if (!isStale(error))
                throw error;
            this.#proof = null;
            const renewed = await this.session.authorization(authorization);
            return (await this.#ask(method, path, { ...said, authorization: renewed }));
        }
    }
    /** Make any call below /v1/auth that needs no sign-in. */
    async open(path, body, repeatable = false) {
        return (await this.#ask("POST", path, { body, repeatable }));
    }
    /** Make a call that returns tokens, and keep them. */
    async take(path, body) {
        const device_token = await this.session.deviceToken;
        this.#proof = null;
        await this.session.open(await this.open(path, device_token && TAKES_DEVICE.has(path) ? { device_token, ...body } : body));
    }
    async #signedIn(path, body) {
        try {
            await this.take(path, body);
            return { signedIn: true };
        }
        catch (error) {
            if (!isProblem(error, "mfa_required"))
                throw error;
            return new SecondFactor(this, error.document.mfa_token, error.document.methods);
        }
    }
    #ask(method, path, said) {
        const { body, query, authorization, repeatable = method === "GET" } = said;
        const url = `${this.#url}/v1/auth/${path}`;
        return call({ method, url, body, query, headers: { Authorization: authorization }, repeatable }, this.settings);
    }
    #mayGet(request) {
        const { origin } = new URL(request.url);
        const page = typeof location === "undefined" ? null : location.origin;
        return [page, new URL(this.#url).origin, ...(this.settings.services ?? [])].includes(origin);
    }
}
/** Return the default store. In Node and Deno, which have a localStorage too, all users would share one session. */
function usualStore() {
    try {
        return typeof document !== "undefined" && localStorage ? sharedStore() : memoryStore();
    }
    catch {
        return memoryStore(); // in a page that is not allowed to store anything
    }
}
const TAKES_DEVICE = new Set(["login", "login/mfa", "passkey/login", "google/token"]);
/** The first step succeeded; one of `methods` is needed as well, within five minutes. */
export class SecondFactor {
    client;
    token;
    methods;
    signedIn = false;
    constructor(client, token, methods) {
        this.client = client;
        this.token = token;
        this.methods = methods;
    }
    /** Use an authenticator app's code or a recovery code. Throws a Problem: `mfa_invalid_code`, `mfa_token_invalid`. */
    async withCode(code) {
        await this.client.take("login/mfa", { mfa_token: this.token, code });
    }
    async withPasskey() {
        const options = await this.client.open("passkey/options", { mfa_token: this.token });
        await this.client.take("login/mfa", { mfa_token: this.token, credential: await provePasskey(options) });
    }
}
class Account {
    client;
    constructor(client) {
        this.client = client;
    }
    get() {
        return this.client.call("GET", "me");
    }
    update(body) {
        return this.client.call("PATCH", "me", { body });
    }
    status() {
        return this.client.call("GET", "me/status");
    }
    activity(query = {}) {
        return this.client.call("GET", "me/activity", { query });
    }
    export() {
        return this.client.call("GET", "me/export");
    }
    /** Sign out everywhere; the account is erased after 14 days, unless its owner signs in with `cancel_deletion`. */
    async delete() {
        const answer = await this.client.call("DELETE", "me");
        await this.client.session.close();
        return answer;
    }
    changeEmail(body) {
        return this.client.call("POST", "change-email", { body });
    }
}
class Devices {
    client;
    constructor(client) {
        this.client = client;
    }
    list(query = {}) {
        return this.client.call("GET", "sessions", { query });
    }
    signOut(id) {
        return this.client.call("DELETE", `sessions/${encodeURIComponent(id)}`);
    }
    signOutOthers() {
        return this.client.call("DELETE", "sessions");
    }
}
/** These calls need a recent sign-in: call `prove` first if it is not recent. */
class Factors {
    client;
    constructor(client) {
        this.client = client;
    }
    list() {
        return this.client.call("GET", "mfa");
    }
    startApp() {
        return this.client.call("POST", "mfa/totp");
    }
    confirmApp(code) {
        return this.client.call("POST", "mfa/totp/confirm", { body: { code } });
    }
    removeApp() {
        return this.client.call("DELETE", "mfa/totp");
    }
    newRecoveryCodes() {
        return this.client.call("POST", "mfa/recovery-codes");
    }
    async addPasskey(name) {
        const credential = await makePasskey(await this.client.call("POST", "mfa/passkeys/options"));
        return this.client.call("POST", "mfa/passkeys", { body: name === undefined ? { credential } : { credential, name } });
    }
    removePasskey(id) {
        return this.client.call("DELETE", `mfa/passkeys/${id}`);
    }
}
class Password {
    client;
    constructor(client) {
        this.client = client;
    }
    requestReset(body) {
        return this.client.open("password-reset-request", body);
    }
    reset(body) {
        return this.client.open("password-reset", body);
    }
    change(body) {
        return this.client.call("POST", "change-password", { body });
    }
}
function authorized(request, authorization) {
    request.headers.set("Authorization", authorization);
    return request;
}
/** Return whether the token may have expired on the way; if the session has ended, one refresh finds that out. */
function isStale(error) {
    return (isProblem(error, "access_token_expired") || isProblem(error, "access_token_invalid") || isProblem(error, "session_revoked"));
}
export { SignedOut };
