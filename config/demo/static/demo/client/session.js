import { Problem, SignedOut } from "./errors.js";
import { call, LONGEST_ANSWER, newKey } from "./http.js";
const EARLY = 30_000; // milliseconds before expiry, so that no token expires on the way
const HEARD_WITHIN = [0, 20, 100, 500, 2000]; // milliseconds between reads of what another tab has written
/**
 * A store in localStorage, which all tabs share, and so does any script that gets into the page. If there is no room,
 * the session is kept in this page only, and the old entry removed: another tab using its refresh token again would end
 * the session.
 */
export function sharedStore(name = "auth-service") {
    let here = null;
    return {
        read: () => (here ? structuredClone(here) : readable(localStorage.getItem(name))),
        write: (kept) => {
            try {
                localStorage.setItem(name, JSON.stringify(kept));
                here = null;
            }
            catch {
                here = structuredClone(kept);
                localStorage.removeItem(name);
            }
        },
    };
}
/** Return what was written, or `{}` if others have corrupted it: no page would load until it was cleared. */
function readable(text) {
    try {
        return JSON.parse(text ?? "{}") ?? {};
    }
    catch {
        return {};
    }
}
/** A store in this page only, until it is reloaded. */
export function memoryStore() {
    let kept = {};
    return { alone: true, read: () => structuredClone(kept), write: (next) => void (kept = structuredClone(next)) };
}
/** Access and refresh tokens. However many callers and tabs need a new one, the session is refreshed only once. */
export class TokenSession {
    url;
    store;
    patience;
    #listeners = new Set();
    #channel;
    #name;
    #renewal = null;
    #told = null;
    constructor(url, store, patience = {}) {
        this.url = url;
        this.store = store;
        this.patience = patience;
        this.#name = `auth-service ${url}`;
        this.#channel = store.alone || typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(this.#name);
        if (!this.#channel)
            return;
        this.#channel.unref?.(); // otherwise Node would not exit
        this.#channel.onmessage = (heard) => this.#hear(heard.data);
    }
    get deviceToken() {
        return this.#read().then((kept) => kept.deviceToken);
    }
    get isOpen() {
        return this.#read().then((kept) => kept.tokens !== undefined);
    }
    async authorization(refused) {
        const { tokens } = await this.#read();
        if (!tokens)
            throw new SignedOut("Nobody is signed in.");
        const isStale = `Bearer ${tokens.access}` === refused || Date.now() > tokens.expiresAt - EARLY;
        return `Bearer ${isStale ? await this.#renewed(tokens.access) : tokens.access}`;
    }
    async open(tokens) {
        const { deviceToken } = await this.#read();
        await this.#write({ tokens: kept(tokens), ...device(tokens.device_token ?? deviceToken) });
    }
    async proofOfSignOut() {
        const { tokens } = await this.#read();
        return tokens && { refresh_token: tokens.refresh };
    }
    async close() {
        await this.#write(device((await this.#read()).deviceToken));
    }
    onChange(listener) {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
    }
    /** Renew the tokens once for this page and, by the lock, for all tabs. */
    #renewed(stale) {
        this.#renewal ??= this.#alone(() => this.#renew(stale)).finally(() => (this.#renewal = null));
        return this.#renewal;
    }
    /**
     * Do the work while no other tab does. A tab that keeps the lock, such as one that a phone has suspended, is waited
     * for no longer than for an answer: with the key in the store both get the same tokens.
     */
    async #alone(work) {
        const locks = this.store.alone || typeof navigator === "undefined" ? undefined : navigator.locks;
        if (!locks)
            return work();
        const signal = AbortSignal.timeout(this.patience.timeout ?? LONGEST_ANSWER);
        let begun = null;
        try {
            return await locks.request(this.#name, { signal }, () => (begun = work()));
        }
        catch (error) {
            if (begun || !signal.aborted)
                throw error;
            return work();
        }
    }
    async #renew(stale) {
        const now = await this.#read();
        if (!now.tokens)
            throw new SignedOut("Signed out in another tab.");
        if (now.tokens.access !== stale)
            return now.tokens.access; // another tab was first
        const key = now.tokens.refreshKey ?? newKey();
        if (!now.tokens.refreshKey)
            await this.store.write({ ...now, tokens: { ...now.tokens, refreshKey: key } });
        const used = now.tokens.refresh;
        try {
            const tokens = await this.#ask(used, key);
            if (await this.#isStill(used))
                await this.#write({ tokens: kept(tokens), ...device(now.deviceToken) });
            return tokens.access_token;
        }
        catch (error) {
            if (!(error instanceof Problem) || error.status !== 401)
                throw error; // down or busy: the session is unchanged
            if (await this.#isStill(used))
                await this.close();
            throw new SignedOut(error.message, { cause: error });
        }
    }
    async #ask(refresh_token, key) {
        const url = `${this.url}/v1/auth/refresh`;
        const headers = { "Idempotency-Key": key };
        return (await call({ method: "POST", url, body: { refresh_token }, headers, repeatable: true }, this.patience));
    }
    /** Return whether nobody has signed in or out during the call. */
    async #isStill(refresh) {
        return (await this.#read()).tokens?.refresh === refresh;
    }
    async #read() {
        return this.store.read();
    }
    async #write(next) {
        const before = await this.isOpen;
        await this.store.write(next);
        const after = next.tokens !== undefined;
        if (before === after)
            return;
        this.#channel?.postMessage(after);
        this.#tell(after);
    }
    /** If tabs run in separate processes, another tab's message may arrive before what it has written. */
    async #hear(isOpen) {
        for (const pause of HEARD_WITHIN) {
            await new Promise((resolve) => setTimeout(resolve, pause));
            if ((await this.isOpen) === isOpen)
                return this.#tell(isOpen);
        }
    }
    #tell(isOpen) {
        if (isOpen === this.#told)
            return;
        this.#told = isOpen;
        for (const listener of this.#listeners)
            listener(isOpen);
    }
}
function kept(tokens) {
    const expiresAt = Date.now() + tokens.expires_in * 1000;
    return { access: tokens.access_token, refresh: tokens.refresh_token, expiresAt };
}
function device(deviceToken) {
    return deviceToken === undefined ? {} : { deviceToken };
}
