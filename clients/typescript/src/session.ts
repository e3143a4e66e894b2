import { Problem, SignedOut } from "./errors.js";
import type { Tokens } from "./generated/public.js";
import { call, LONGEST_ANSWER, newKey, type Patience } from "./http.js";

/** What a device keeps. `refreshKey` is stored before the call that uses it, so that a lost answer can be recovered. */
export interface Kept {
  tokens?: { access: string; refresh: string; expiresAt: number; refreshKey?: string };
  deviceToken?: string;
}

/** Where it is kept. A store that all tabs share, such as `sharedStore()`, makes them one session. */
export interface Store {
  read(): Kept | Promise<Kept>;
  write(kept: Kept): void | Promise<void>;
  /** Whether no other tab reads it, as on a server: then no tab is notified of changes or waited for. */
  readonly alone?: boolean;
}

/** How calls are authorised. Tokens are one way; implement this interface for another, such as cookies. */
export interface Session {
  readonly deviceToken: Promise<string | undefined>;
  readonly isOpen: Promise<boolean>;
  /** Return the Authorization header's value. `refused` is the value that was just refused. Throws SignedOut. */
  authorization(refused?: string): Promise<string>;
  open(tokens: Tokens): Promise<void>;
  /** Return the body of the call that ends this session at the service. */
  proofOfSignOut(): Promise<{ refresh_token: string } | undefined>;
  close(): Promise<void>;
  onChange(listener: (isOpen: boolean) => void): () => void;
}

const EARLY = 30_000; // milliseconds before expiry, so that no token expires on the way
const HEARD_WITHIN = [0, 20, 100, 500, 2000]; // milliseconds between reads of what another tab has written

/**
 * A store in localStorage, which all tabs share, and so does any script that gets into the page. If there is no room,
 * the session is kept in this page only, and the old entry removed: another tab using its refresh token again would end
 * the session.
 */
export function sharedStore(name = "auth-service"): Store {
  let here: Kept | null = null;
  return {
    read: () => (here ? structuredClone(here) : readable(localStorage.getItem(name))),
    write: (kept) => {
      try {
        localStorage.setItem(name, JSON.stringify(kept));
        here = null;
      } catch {
        here = structuredClone(kept);
        localStorage.removeItem(name);
      }
    },
  };
}

/** Return what was written, or `{}` if others have corrupted it: no page would load until it was cleared. */
function readable(text: string | null): Kept {
  try {
    return (JSON.parse(text ?? "{}") as Kept | null) ?? {};
  } catch {
    return {};
  }
}

/** A store in this page only, until it is reloaded. */
export function memoryStore(): Store {
  let kept: Kept = {};
  return { alone: true, read: () => structuredClone(kept), write: (next) => void (kept = structuredClone(next)) };
}

/** Access and refresh tokens. However many callers and tabs need a new one, the session is refreshed only once. */
export class TokenSession implements Session {
  readonly #listeners = new Set<(isOpen: boolean) => void>();
  readonly #channel: BroadcastChannel | null;
  readonly #name: string;
  #renewal: Promise<string> | null = null;
  #told: boolean | null = null;

  constructor(
    private readonly url: string,
    private readonly store: Store,
    private readonly patience: Patience = {},
  ) {
    this.#name = `auth-service ${url}`;
    this.#channel = store.alone || typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(this.#name);
    if (!this.#channel) return;
    (this.#channel as { unref?: () => void }).unref?.(); // otherwise Node would not exit
    this.#channel.onmessage = (heard: MessageEvent<boolean>) => this.#hear(heard.data);
  }

  get deviceToken(): Promise<string | undefined> {
    return this.#read().then((kept) => kept.deviceToken);
  }

  get isOpen(): Promise<boolean> {
    return this.#read().then((kept) => kept.tokens !== undefined);
  }

  async authorization(refused?: string): Promise<string> {
    const { tokens } = await this.#read();
    if (!tokens) throw new SignedOut("Nobody is signed in.");
    const isStale = `Bearer ${tokens.access}` === refused || Date.now() > tokens.expiresAt - EARLY;
    return `Bearer ${isStale ? await this.#renewed(tokens.access) : tokens.access}`;
  }

  async open(tokens: Tokens): Promise<void> {
    const { deviceToken } = await this.#read();
    await this.#write({ tokens: kept(tokens), ...device(tokens.device_token ?? deviceToken) });
  }

  async proofOfSignOut(): Promise<{ refresh_token: string } | undefined> {
    const { tokens } = await this.#read();
    return tokens && { refresh_token: tokens.refresh };
  }

  async close(): Promise<void> {
    await this.#write(device((await this.#read()).deviceToken));
  }

  onChange(listener: (isOpen: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Renew the tokens once for this page and, by the lock, for all tabs. */
  #renewed(stale: string): Promise<string> {
    this.#renewal ??= this.#alone(() => this.#renew(stale)).finally(() => (this.#renewal = null));
    return this.#renewal;
  }

  /**
   * Do the work while no other tab does. A tab that keeps the lock, such as one that a phone has suspended, is waited
   * for no longer than for an answer: with the key in the store both get the same tokens.
   */
  async #alone(work: () => Promise<string>): Promise<string> {
    const locks = this.store.alone || typeof navigator === "undefined" ? undefined : navigator.locks;
    if (!locks) return work();
    const signal = AbortSignal.timeout(this.patience.timeout ?? LONGEST_ANSWER);
    let begun: Promise<string> | null = null;
    try {
      return await locks.request(this.#name, { signal }, () => (begun = work()));
    } catch (error) {
      if (begun || !signal.aborted) throw error;
      return work();
    }
  }

  async #renew(stale: string): Promise<string> {
    const now = await this.#read();
    if (!now.tokens) throw new SignedOut("Signed out in another tab.");
    if (now.tokens.access !== stale) return now.tokens.access; // another tab was first
    const key = now.tokens.refreshKey ?? newKey();
    if (!now.tokens.refreshKey) await this.store.write({ ...now, tokens: { ...now.tokens, refreshKey: key } });
    const used = now.tokens.refresh;
    try {
      const tokens = await this.#ask(used, key);
      if (await this.#isStill(used)) await this.#write({ tokens: kept(tokens), ...device(now.deviceToken) });
      return tokens.access_token;
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error; // down or busy: the session is unchanged
      if (await this.#isStill(used)) await this.close();
      throw new SignedOut(error.message, { cause: error });
    }
  }

  async #ask(refresh_token: string, key: string): Promise<Tokens> {
    const url = `${this.url}/v1/auth/refresh`;
    const headers = { "Idempotency-Key": key };
    return (await call({ method: "POST", url, body: { refresh_token }, headers, repeatable: true }, this.patience)) as Tokens;
  }

  /** Return whether nobody has signed in or out during the call. */
  async #isStill(refresh: string): Promise<boolean> {
    return (await this.#read()).tokens?.refresh === refresh;
  }

  async #read(): Promise<Kept> {
    return this.store.read();
  }

  async #write(next: Kept): Promise<void> {
    const before = await this.isOpen;
    await this.store.write(next);
    const after = next.tokens !== undefined;
    if (before === after) return;
    this.#channel?.postMessage(after);
    this.#tell(after);
  }

  /** If tabs run in separate processes, another tab's message may arrive before what it has written. */
  async #hear(isOpen: boolean): Promise<void> {
    for (const pause of HEARD_WITHIN) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if ((await this.isOpen) === isOpen) return this.#tell(isOpen);
    }
  }

  #tell(isOpen: boolean): void {
    if (isOpen === this.#told) return;
    this.#told = isOpen;
    for (const listener of this.#listeners) listener(isOpen);
  }
}

function kept(tokens: Tokens): NonNullable<Kept["tokens"]> {
  const expiresAt = Date.now() + tokens.expires_in * 1000;
  return { access: tokens.access_token, refresh: tokens.refresh_token, expiresAt };
}

function device(deviceToken: string | undefined): { deviceToken?: string } {
  return deviceToken === undefined ? {} : { deviceToken };
}
