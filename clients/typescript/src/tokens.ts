/** The user of a live access token. */
export interface Identity {
  userId: string;
  sessionId: string;
  emailVerified: boolean;
  status: string;
  /** How the person signed in (RFC 8176). */
  methods: string[];
  /** Seconds since 1970. */
  expiresAt: number;
}

/** Anything that can verify an access token: ServiceClient, or AcceptedTokens in tests. Throws TokenRefused. */
export interface Verifier {
  verifyToken(token: string): Promise<Identity>;
}

const LONGEST_CACHE = 10_000; // milliseconds: the contract's bound
const MOST_CACHED = 10_000;

/** Return whether a text can be an access token, so that junk causes no call. Many dots do not make it slower. */
export function looksLikeAToken(token: string): boolean {
  return token.length <= 8192 && /^[!-~]+$/.test(token) && /^[^.]+\.[^.]+\.[^.]+$/.test(token);
}

/** Remembers the identities of live tokens for some seconds. Refusals are not kept, and tokens only as digests. */
export class RecentAnswers {
  readonly #answers = new Map<string, { until: number; identity: Identity }>();

  constructor(private readonly milliseconds: number) {
    if (!(milliseconds >= 0 && milliseconds <= LONGEST_CACHE)) {
      throw new RangeError(`Introspection is cached for 0 to ${LONGEST_CACHE} milliseconds.`);
    }
  }

  async get(token: string): Promise<Identity | undefined> {
    const found = this.#answers.get(await digest(token));
    return found && Date.now() < found.until ? found.identity : undefined;
  }

  async put(token: string, identity: Identity): Promise<void> {
    const until = Math.min(Date.now() + this.milliseconds, identity.expiresAt * 1000);
    const key = await digest(token);
    this.#answers.delete(key);
    this.#answers.set(key, { until, identity });
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > MOST_CACHED && oldest !== undefined) this.#answers.delete(oldest);
  }
}

async function digest(token: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return String.fromCharCode(...new Uint8Array(bytes));
}

/** Return the token of `Authorization: Bearer ...`, or null. */
export function bearer(header: string | null | undefined): string | null {
  const found = /^Bearer +(\S+)$/i.exec(header ?? "");
  return found?.[1] ?? null;
}
