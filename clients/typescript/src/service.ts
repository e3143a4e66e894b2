/** The service's internal API, for services in Node, Deno, Bun and workers. */
import { AuthServiceError, TokenRefused } from "./errors.js";
import type * as types from "./generated/internal.js";
import type { ServiceEvent } from "./generated/events.js";
import { call, mayBeDone, newKey, type Patience } from "./http.js";
import { looksLikeAToken, RecentAnswers, type Identity, type Verifier } from "./tokens.js";

export * from "./errors.js";
export type * from "./generated/internal.js";
export type * from "./generated/events.js";
export { isProblem, newKey } from "./http.js";
export type { Identity, Verifier } from "./tokens.js";

type Keyed<Body> = Body & { idempotencyKey?: string };
export type Operation = types.BatchBody["operations"][number];
export type EventsPage = { results: ServiceEvent[]; next: string };

export interface ServiceSettings extends Patience {
  /** The internal listener, such as http://internal:8001. */
  url: string;
  apiKey: string;
  /** How many milliseconds an answer about a token is kept: at most 10,000, which is the default. */
  cache?: number;
}

export function createServiceClient(settings: ServiceSettings): ServiceClient {
  return new ServiceClient(settings);
}

/** Retries every call by the rule, with one Idempotency-Key for all its attempts, created unless you pass one. */
export class ServiceClient implements Verifier {
  readonly users = new Users(this);
  readonly credits = new Credits(this);
  readonly billing = new Billing(this);
  readonly events = new Events(this);
  readonly #recent: RecentAnswers;

  constructor(readonly settings: ServiceSettings) {
    if (!/^https?:\/\//.test(settings.url)) throw new TypeError("The address of the service begins with http:// or https://.");
    this.#recent = new RecentAnswers(settings.cache ?? 10_000);
  }

  /** Return an access token's identity, as the service reported it within the last seconds. Throws TokenRefused. */
  async verifyToken(token: string): Promise<Identity> {
    if (!looksLikeAToken(token)) throw new TokenRefused("This is not an access token.");
    const found = await this.#recent.get(token);
    if (found) return found;
    const answer = await this.call<types.Introspection>("POST", "/v1/tokens/introspect", { body: { token } });
    if (!answer.active) throw new TokenRefused("The access token is not live.");
    const identity: Identity = {
      userId: answer.sub!,
      sessionId: answer.sid!,
      emailVerified: answer.email_verified!,
      status: answer.status!,
      methods: answer.amr ?? [],
      expiresAt: answer.exp!,
    };
    await this.#recent.put(token, identity);
    return identity;
  }

  /** Set credits aside while a block runs: `await using hold = await client.hold({ user_id, amount: 100 })`. */
  async hold(body: Keyed<types.HoldsBody>): Promise<Hold> {
    return new Hold(this.credits, await this.credits.placeHold(body));
  }

  /** Make any call of the API that is safe to repeat, through its key or by its nature. */
  async call<Answer>(
    method: string,
    path: string,
    { body, query, key }: { body?: object; query?: object; key?: string | undefined } = {},
  ): Promise<Answer> {
    const headers = { "X-API-Key": this.settings.apiKey, "Idempotency-Key": key };
    const url = this.settings.url.replace(/\/+$/, "") + path;
    return (await call({ method, url, body, query, headers, repeatable: true }, this.settings)) as Answer;
  }

  /** Make a call that needs a key: the one passed in, or a new one. */
  async keyed<Answer>(path: string, { idempotencyKey, ...body }: Keyed<object>): Promise<Answer> {
    return this.call<Answer>("POST", path, { body, key: idempotencyKey ?? newKey() });
  }

  /** Yield the entries of a list, fetching each page when it is needed. */
  async *pages<Entry>(path: string, query: object): AsyncGenerator<Entry, void> {
    let cursor: string | null = null;
    do {
      const page: { results: Entry[]; next: string | null } = await this.call("GET", path, { query: { ...query, cursor } });
      yield* page.results;
      cursor = page.next;
    } while (cursor !== null);
  }
}

class Users {
  constructor(private readonly client: ServiceClient) {}

  get(userId: string): Promise<types.KnownUser> {
    return this.client.call("GET", `/v1/users/${encodeURIComponent(userId)}`);
  }

  byEmail(email: string): Promise<types.KnownUser> {
    return this.client.call("GET", `/v1/users/by-email/${encodeURIComponent(email)}`);
  }

  async lookup(body: types.LookUpUsersBody): Promise<types.KnownUser[]> {
    return (await this.client.call<types.FoundUsers>("POST", "/v1/users/lookup", { body })).results;
  }
}

class Events {
  constructor(private readonly client: ServiceClient) {}

  /** Return the events after a cursor, oldest first. Keep `next`, and read on with it. */
  read({ types, ...query }: { cursor?: string; types?: string[]; limit?: number } = {}): Promise<EventsPage> {
    return this.client.call("GET", "/v1/events", { query: { ...query, types: types?.join(",") } });
  }
}

class Credits {
  constructor(private readonly client: ServiceClient) {}

  balance(query: types.GetBalanceQuery): Promise<types.BalanceAnswer> {
    return this.client.call("GET", "/v1/credits/balance", { query });
  }

  use(body: Keyed<types.UseCreditsBody>): Promise<types.TransactionAnswer> {
    return this.client.keyed("/v1/credits/use", body);
  }

  add(body: Keyed<types.AddCreditsBody>): Promise<types.TransactionAnswer> {
    return this.client.keyed("/v1/credits/add", body);
  }

  refund(body: Keyed<types.RefundCreditsBody>): Promise<types.TransactionAnswer> {
    return this.client.keyed("/v1/credits/refund", body);
  }

  /** Carry out 1 to 1,000 independent operations, each with its own key. */
  async batch(operations: Operation[]): Promise<types.Result[]> {
    const body = { operations: operations.map((operation) => ({ idempotency_key: newKey(), ...operation })) };
    return (await this.client.call<types.BatchAnswer>("POST", "/v1/credits/batch", { body })).results;
  }

  transactions(query: types.ListTransactionsQuery = {}): AsyncGenerator<types.TransactionAnswer, void> {
    return this.client.pages("/v1/credits/transactions", query);
  }

  transaction(id: string): Promise<types.TransactionAnswer> {
    return this.client.call("GET", `/v1/credits/transactions/${encodeURIComponent(id)}`);
  }

  alert(query: types.GetAlertQuery): Promise<types.AlertAnswer> {
    return this.client.call("GET", "/v1/credits/alerts", { query });
  }

  setAlert(body: types.AlertBody): Promise<types.AlertAnswer> {
    return this.client.call("PUT", "/v1/credits/alerts", { body });
  }

  placeHold(body: Keyed<types.HoldsBody>): Promise<types.HoldAnswer> {
    return this.client.keyed("/v1/credits/holds", body);
  }

  captureHold(id: string, body: Keyed<types.CaptureHoldBody> = {}): Promise<types.HoldAnswer> {
    return this.client.keyed(`/v1/credits/holds/${encodeURIComponent(id)}/capture`, body);
  }

  releaseHold(id: string, body: { idempotencyKey?: string } = {}): Promise<types.HoldAnswer> {
    return this.client.keyed(`/v1/credits/holds/${encodeURIComponent(id)}/release`, body);
  }

  holds(query: types.ListHoldsQuery = {}): AsyncGenerator<types.HoldAnswer, void> {
    return this.client.pages("/v1/credits/holds", query);
  }

  getHold(id: string): Promise<types.HoldAnswer> {
    return this.client.call("GET", `/v1/credits/holds/${encodeURIComponent(id)}`);
  }
}

/**
 * Credits set aside until `capture` or `release`. With `await using`, the end of the block releases what it has not
 * captured: a JavaScript block cannot tell its normal end from an exception, so call `capture` for what was needed.
 */
export class Hold implements AsyncDisposable {
  #settled = false;

  constructor(
    private readonly credits: Credits,
    public answer: types.HoldAnswer,
  ) {}

  get id(): string {
    return this.answer.id;
  }

  /** Spend `amount` of the hold, or all of it; the rest is returned. Repeating the call returns the first outcome. */
  async capture(body: types.CaptureHoldBody = {}): Promise<types.HoldAnswer> {
    try {
      this.answer = await this.credits.captureHold(this.id, { ...body, idempotencyKey: `capture-${this.id}` });
      this.#settled = true;
    } catch (error) {
      this.#settled = mayBeDone(error); // it may have been captured, so it must not be released
      throw error;
    }
    return this.answer;
  }

  /** Return all of the credits. */
  async release(): Promise<types.HoldAnswer> {
    this.answer = await this.credits.releaseHold(this.id, { idempotencyKey: `release-${this.id}` });
    this.#settled = true;
    return this.answer;
  }

  /** Release what was not captured. If the service does not answer, the hold expires. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#settled) return;
    try {
      await this.release();
    } catch (error) {
      if (!(error instanceof AuthServiceError)) throw error;
    }
  }
}

/** Run `work` while credits are held: its end captures all unless it has settled the hold; an exception releases them. */
export async function withHold<Result>(
  client: ServiceClient,
  body: Keyed<types.HoldsBody>,
  work: (hold: Hold) => Promise<Result>,
): Promise<Result> {
  await using hold = await client.hold(body);
  const result = await work(hold);
  if (hold.answer.status === "open") await hold.capture();
  return result;
}

class Billing {
  constructor(private readonly client: ServiceClient) {}

  plans(): AsyncGenerator<types.PlanAnswer, void> {
    return this.client.pages("/v1/billing/plans", {});
  }

  startCheckout(body: Keyed<types.CheckoutSessionsBody>): Promise<types.SessionAnswer> {
    return this.client.keyed("/v1/billing/checkout-sessions", body);
  }

  checkout(id: string, query: types.GetCheckoutQuery): Promise<types.SessionAnswer> {
    return this.client.call("GET", `/v1/billing/checkout-sessions/${encodeURIComponent(id)}`, { query });
  }

  openPortal(body: Keyed<types.PortalSessionsBody>): Promise<types.PortalAnswer> {
    return this.client.keyed("/v1/billing/portal-sessions", body);
  }

  startStoringCard(body: Keyed<types.SetupIntentsBody>): Promise<types.SetupAnswer> {
    return this.client.keyed("/v1/billing/setup-intents", body);
  }

  cards(query: types.ListStoredCardsQuery): AsyncGenerator<types.PaymentMethodAnswer, void> {
    return this.client.pages("/v1/billing/payment-methods", query);
  }

  removeCard(id: string, query: types.RemoveStoredCardQuery): Promise<void> {
    return this.client.call("DELETE", `/v1/billing/payment-methods/${encodeURIComponent(id)}`, { query });
  }

  makeCardDefault(id: string, body: types.DefaultPaymentMethodBody): Promise<types.DefaultAnswer> {
    return this.client.call("POST", `/v1/billing/payment-methods/${encodeURIComponent(id)}/default`, { body });
  }

  subscribe(body: Keyed<types.SubscriptionsBody>): Promise<types.SubscriptionAnswer> {
    return this.client.keyed("/v1/billing/subscriptions", body);
  }

  subscriptions(query: types.ListSubscriptionsQuery): AsyncGenerator<types.SubscriptionAnswer, void> {
    return this.client.pages("/v1/billing/subscriptions", query);
  }

  changeSubscription(id: string, body: Keyed<types.ChangeSubscriptionBody>): Promise<types.SubscriptionAnswer> {
    return this.client.keyed(`/v1/billing/subscriptions/${encodeURIComponent(id)}/change`, body);
  }

  previewChange(id: string, query: types.PreviewChangeQuery): Promise<types.ChangePreviewAnswer> {
    const path = `/v1/billing/subscriptions/${encodeURIComponent(id)}/change-preview`;
    return this.client.call("GET", path, { query });
  }

  cancelSubscription(id: string, body: types.CancelSubscriptionBody): Promise<types.SubscriptionAnswer> {
    return this.client.call("POST", `/v1/billing/subscriptions/${encodeURIComponent(id)}/cancel`, { body });
  }

  resumeSubscription(id: string, body: types.ResumeSubscriptionBody): Promise<types.SubscriptionAnswer> {
    return this.client.call("POST", `/v1/billing/subscriptions/${encodeURIComponent(id)}/resume`, { body });
  }

  endTrial(id: string, body: Keyed<types.EndTrialBody>): Promise<types.SubscriptionAnswer> {
    return this.client.keyed(`/v1/billing/subscriptions/${encodeURIComponent(id)}/end-trial`, body);
  }

  invoices(query: types.ListInvoicesQuery): AsyncGenerator<types.InvoiceAnswer, void> {
    return this.client.pages("/v1/billing/invoices", query);
  }

  payInvoice(id: string, body: Keyed<types.PayInvoiceBody>): Promise<types.InvoiceAnswer> {
    return this.client.keyed(`/v1/billing/invoices/${encodeURIComponent(id)}/pay`, body);
  }

  trialEligibility(query: types.CheckTrialEligibilityQuery): Promise<types.EligibilityAnswer> {
    return this.client.call("GET", "/v1/billing/trial-eligibility", { query });
  }

  status(query: types.GetUserBillingStatusQuery): Promise<types.StatusAnswer> {
    return this.client.call("GET", "/v1/billing/status", { query });
  }
}
