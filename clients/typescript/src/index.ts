/** The service's public API for front ends: from signing up to signing out, in browsers, Node and workers. */
import { SignedOut } from "./errors.js";
import type * as types from "./generated/public.js";
import { call, isProblem, newKey, type Patience } from "./http.js";
import { makePasskey, provePasskey } from "./passkeys.js";
import { memoryStore, sharedStore, TokenSession, type Session, type Store } from "./session.js";

export * from "./errors.js";
export type * from "./generated/public.js";
export type { KnownProblem } from "./generated/problems.js";
export { isProblem, newKey } from "./http.js";
export { hasPasskeys } from "./passkeys.js";
export { memoryStore, sharedStore, TokenSession, type Kept, type Session, type Store } from "./session.js";

export interface ClientSettings extends Patience {
  /** The public listener, such as https://auth.example.com. */
  url: string;
  /** Origins besides the page's to which `fetch` may send the access token, such as https://api.example.com. */
  services?: string[];
  /** Where tokens are kept. Default: localStorage in a page that may use it, memory everywhere else. */
  store?: Store;
  /** How calls are authorised, instead of tokens in `store`. */
  session?: Session;
}

/** Signed in, or a second factor is needed. */
export type Step = { signedIn: true } | SecondFactor;

export function createClient(settings: ClientSettings): AuthClient {
  return new AuthClient(settings);
}

export class AuthClient {
  readonly session: Session;
  readonly account = new Account(this);
  readonly devices = new Devices(this);
  readonly factors = new Factors(this);
  readonly password = new Password(this);
  readonly #url: string;
  #proof: { authorization: string; until: number } | null = null;

  constructor(private readonly settings: ClientSettings) {
    this.#url = settings.url.replace(/\/+$/, "");
    this.session = settings.session ?? new TokenSession(this.#url, settings.store ?? usualStore(), settings);
    this.session.onChange(() => (this.#proof = null));
  }

  /** Register. A mail with a link and a code is sent; the answer is the same whether or not the address is taken. */
  signUp(body: types.RegisterBody): Promise<types.Detail> {
    return this.open("register", body);
  }

  /** Confirm an address with the link's `token`, or with `email` and `code`. */
  confirmAddress(body: types.VerifyEmailBody): Promise<types.VerifiedEmail> {
    return this.open("verify-email", body);
  }

  sendConfirmationAgain(body: types.ResendVerificationBody): Promise<types.Detail> {
    return this.open("resend-verification", body);
  }

  /** Throws a Problem: `invalid_credentials`, `rate_limited`, `account_suspended`, `deletion_pending`. */
  async signIn(body: types.LoginBody): Promise<Step> {
    return this.#signedIn("login", body);
  }

  async signInWithPasskey(body: Omit<types.PasskeyLoginBody, "credential"> = {}): Promise<Step> {
    const credential = await provePasskey(await this.open<object>("passkey/options", {}));
    return this.#signedIn("passkey/login", { ...body, credential });
  }

  /** Return the URL to send the browser to, and the `verifier` to keep until Google has sent it back. */
  async startGoogle(query: { cancel_deletion?: boolean } = {}): Promise<{ url: string; verifier: string }> {
    const verifier = newKey() + newKey();
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
    const code_challenge = btoa(String.fromCharCode(...new Uint8Array(hash)))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replace(/=+$/, "");
    const answer = (await this.#ask("GET", "google/login", { query: { ...query, code_challenge } })) as types.AuthorizationURL;
    return { url: answer.authorization_url, verifier };
  }

  /** Sign in with the `code` that the browser brought back from Google, and the `verifier` that you kept. */
  async finishGoogle(code: string, verifier: string): Promise<Step> {
    return this.#signedIn("exchange", { code, code_verifier: verifier });
  }

  /** End this session here and at the service. Throws if that does not answer; the session then expires by itself. */
  async signOut(): Promise<void> {
    const body = await this.session.proofOfSignOut();
    try {
      if (body) await this.open("logout", body, true);
    } finally {
      await this.session.close();
    }
  }

  async signOutEverywhere(): Promise<void> {
    await this.call("POST", "logout-all");
    await this.session.close();
  }

  /**
   * Confirm the sign-in again, with `password`, or with `code` if there is a second factor. Calls that need a recent
   * sign-in (`reauthentication_required`) then work for the next five minutes, in this tab.
   */
  async prove(body: types.ReauthenticateBody): Promise<void> {
    const proof = await this.call<types.ProofToken>("POST", "reauthenticate", { body });
    const until = Date.now() + Math.min(proof.expires_in, 290) * 1000;
    this.#proof = { authorization: `Bearer ${proof.access_token}`, until };
  }

  async proveWithPasskey(): Promise<void> {
    const credential = await provePasskey(await this.open<object>("passkey/options", {}));
    await this.prove({ credential });
  }

  /** `fetch` with the access token, renewed if necessary; only to the page's origin, the service's, and `services`. */
  async fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const request = new Request(input, init);
    if (!this.#mayGet(request)) throw new TypeError(`${new URL(request.url).origin} is not among \`services\`.`);
    const send = this.settings.fetch ?? fetch;
    const authorization = await this.session.authorization();
    const answer = await send(authorized(request.clone(), authorization));
    if (answer.status !== 401) return answer;
    return send(authorized(request, await this.session.authorization(authorization)));
  }

  /** Make any call below /v1/auth as the signed-in user. Throws SignedOut. */
  async call<Answer = void>(
    method: string,
    path: string,
    { body, query }: { body?: object; query?: object } = {},
  ): Promise<Answer> {
    const proof = this.#proof && Date.now() < this.#proof.until ? this.#proof.authorization : null;
    const authorization = proof ?? (await this.session.authorization());
    const said = { body, query, authorization, repeatable: method === "GET" };
    try {
      return (await this.#ask(method, path, said)) as Answer;
    } catch (error) {
      if (!isStale(error)) throw error;
      this.#proof = null;
      const renewed = await this.session.authorization(authorization);
      return (await this.#ask(method, path, { ...said, authorization: renewed })) as Answer;
    }
  }

  /** Make any call below /v1/auth that needs no sign-in. */
  async open<Answer>(path: string, body: object, repeatable = false): Promise<Answer> {
    return (await this.#ask("POST", path, { body, repeatable })) as Answer;
  }

  /** Make a call that returns tokens, and keep them. */
  async take(path: string, body: object): Promise<void> {
    const device_token = await this.session.deviceToken;
    this.#proof = null;
    await this.session.open(await this.open<types.Tokens>(path, device_token && TAKES_DEVICE.has(path) ? { device_token, ...body } : body));
  }

  async #signedIn(path: string, body: object): Promise<Step> {
    try {
      await this.take(path, body);
      return { signedIn: true };
    } catch (error) {
      if (!isProblem(error, "mfa_required")) throw error;
      return new SecondFactor(this, error.document.mfa_token, error.document.methods);
    }
  }

  #ask(
    method: string,
    path: string,
    said: { body?: object | undefined; query?: object | undefined; authorization?: string; repeatable?: boolean },
  ): Promise<unknown> {
    const { body, query, authorization, repeatable = method === "GET" } = said;
    const url = `${this.#url}/v1/auth/${path}`;
    return call({ method, url, body, query, headers: { Authorization: authorization }, repeatable }, this.settings);
  }

  #mayGet(request: Request): boolean {
    const { origin } = new URL(request.url);
    const page = typeof location === "undefined" ? null : location.origin;
    return [page, new URL(this.#url).origin, ...(this.settings.services ?? [])].includes(origin);
  }
}

/** Return the default store. In Node and Deno, which have a localStorage too, all users would share one session. */
function usualStore(): Store {
  try {
    return typeof document !== "undefined" && localStorage ? sharedStore() : memoryStore();
  } catch {
    return memoryStore(); // in a page that is not allowed to store anything
  }
}

const TAKES_DEVICE = new Set(["login", "login/mfa", "passkey/login", "google/token"]);

/** The first step succeeded; one of `methods` is needed as well, within five minutes. */
export class SecondFactor {
  readonly signedIn = false;

  constructor(
    private readonly client: AuthClient,
    private readonly token: string,
    readonly methods: string[],
  ) {}

  /** Use an authenticator app's code or a recovery code. Throws a Problem: `mfa_invalid_code`, `mfa_token_invalid`. */
  async withCode(code: string): Promise<void> {
    await this.client.take("login/mfa", { mfa_token: this.token, code });
  }

  async withPasskey(): Promise<void> {
    const options = await this.client.open<object>("passkey/options", { mfa_token: this.token });
    await this.client.take("login/mfa", { mfa_token: this.token, credential: await provePasskey(options) });
  }
}

class Account {
  constructor(private readonly client: AuthClient) {}

  get(): Promise<types.Profile> {
    return this.client.call("GET", "me");
  }

  update(body: types.MeBody): Promise<types.Profile> {
    return this.client.call("PATCH", "me", { body });
  }

  status(): Promise<types.Status> {
    return this.client.call("GET", "me/status");
  }

  activity(query: types.ListActivityQuery & { cursor?: string } = {}): Promise<{ results: types.ActivityItem[]; next: string | null }> {
    return this.client.call("GET", "me/activity", { query });
  }

  export(): Promise<types.PersonalData> {
    return this.client.call("GET", "me/export");
  }

  /** Sign out everywhere; the account is erased after 14 days, unless its owner signs in with `cancel_deletion`. */
  async delete(): Promise<types.Deletion> {
    const answer = await this.client.call<types.Deletion>("DELETE", "me");
    await this.client.session.close();
    return answer;
  }

  changeEmail(body: types.ChangeEmailBody): Promise<types.Detail> {
    return this.client.call("POST", "change-email", { body });
  }
}

class Devices {
  constructor(private readonly client: AuthClient) {}

  list(query: types.ListSessionsQuery & { cursor?: string } = {}): Promise<{ results: types.SessionAnswer[]; next: string | null }> {
    return this.client.call("GET", "sessions", { query });
  }

  signOut(id: string): Promise<void> {
    return this.client.call("DELETE", `sessions/${encodeURIComponent(id)}`);
  }

  signOutOthers(): Promise<void> {
    return this.client.call("DELETE", "sessions");
  }
}

/** These calls need a recent sign-in: call `prove` first if it is not recent. */
class Factors {
  constructor(private readonly client: AuthClient) {}

  list(): Promise<types.Factors> {
    return this.client.call("GET", "mfa");
  }

  startApp(): Promise<types.Enrolment> {
    return this.client.call("POST", "mfa/totp");
  }

  confirmApp(code: string): Promise<types.RecoveryCodes> {
    return this.client.call("POST", "mfa/totp/confirm", { body: { code } });
  }

  removeApp(): Promise<void> {
    return this.client.call("DELETE", "mfa/totp");
  }

  newRecoveryCodes(): Promise<types.RecoveryCodes> {
    return this.client.call("POST", "mfa/recovery-codes");
  }

  async addPasskey(name?: string): Promise<types.NewPasskey> {
    const credential = await makePasskey(await this.client.call<object>("POST", "mfa/passkeys/options"));
    return this.client.call("POST", "mfa/passkeys", { body: name === undefined ? { credential } : { credential, name } });
  }

  removePasskey(id: number): Promise<void> {
    return this.client.call("DELETE", `mfa/passkeys/${id}`);
  }
}

class Password {
  constructor(private readonly client: AuthClient) {}

  requestReset(body: types.PasswordResetRequestBody): Promise<types.Detail> {
    return this.client.open("password-reset-request", body);
  }

  reset(body: types.PasswordResetBody): Promise<void> {
    return this.client.open("password-reset", body);
  }

  change(body: types.ChangePasswordBody): Promise<void> {
    return this.client.call("POST", "change-password", { body });
  }
}

function authorized(request: Request, authorization: string): Request {
  request.headers.set("Authorization", authorization);
  return request;
}

/** Return whether the token may have expired on the way; if the session has ended, one refresh finds that out. */
function isStale(error: unknown): boolean {
  return (
    isProblem(error, "access_token_expired") || isProblem(error, "access_token_invalid") || isProblem(error, "session_revoked")
  );
}

export { SignedOut };
