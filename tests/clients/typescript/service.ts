// A service: each command is one use of the client, and prints what came of it.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";
import { createServiceClient, isProblem, Problem, TokenRefused, Unreachable, withHold } from "@auth-service/client/service";
import { AcceptedTokens, identity, signedDelivery, webhookSecret } from "@auth-service/client/testing";
import { verifyWebhook, WebhookRefused } from "@auth-service/client/webhooks";

const [command = "", said = "{}"] = process.argv.slice(2);
const { url = "", key = "", user = "", token = "", patience = 30_000, secrets = [], delivery = "" } = JSON.parse(said);
const auth = createServiceClient({ url, apiKey: key, patience });

async function refusal(work: () => Promise<unknown>): Promise<unknown> {
  try {
    return { answered: await work() };
  } catch (error) {
    if (isProblem(error, "insufficient_credits")) return { code: error.code, available: error.document.available };
    if (error instanceof Problem) return { code: error.code, retryAfter: error.retryAfter };
    return { name: error instanceof Error ? error.name : "" };
  }
}

type Method = (...said: unknown[]) => Promise<unknown> | AsyncGenerator<unknown>;
const NOT_CALLS = new Set(["constructor", "call", "keyed", "pages"]);
const ODD: Record<string, unknown> = { batch: [], verifyToken: "a.b.c" };
const first = (answer: Promise<unknown> | AsyncGenerator<unknown>) => ("next" in answer ? answer.next() : answer);

const commands: Record<string, () => Promise<unknown>> = {
  use: () => refusal(() => auth.credits.use({ user_id: user, amount: 30 })),
  bigInt: () => refusal(() => auth.credits.use({ user_id: user, amount: 30n as unknown as number })),
  misaddressed: () => refusal(async () => createServiceClient({ url: "localhost:8001", apiKey: key })),
  tooMuch: () => refusal(() => auth.credits.use({ user_id: user, amount: 1000 })),
  batch: () => auth.credits.batch([
    { op: "use", user_id: user, amount: 10 },
    { op: "use", user_id: user, amount: 500 },
  ]),
  async pages() {
    const amounts = [];
    for await (const row of auth.credits.transactions({ user_id: user, limit: 1 })) amounts.push(row.amount);
    return amounts;
  },
  async captured() {
    await using hold = await auth.hold({ user_id: user, amount: 40 });
    return (await hold.capture({ amount: 15 })).status;
  },
  async left() {
    await using hold = await auth.hold({ user_id: user, amount: 40 });
    return hold.answer.status;
  },
  unsure: () => refusal(async () => {
    await using hold = await auth.hold({ user_id: user, amount: 40 });
    await hold.capture({ amount: 15 });
  }),
  thrown: () => refusal(async () => {
    await using hold = await auth.hold({ user_id: user, amount: 40 });
    throw new Error(hold.id);
  }),
  whole: () => withHold(auth, { user_id: user, amount: 40 }, async () => "done"),
  broken: () => refusal(() => withHold(auth, { user_id: user, amount: 40 }, async () => Promise.reject(new RangeError()))),
  async tokens() {
    const twice = [await auth.verifyToken(token), await auth.verifyToken(token)];
    const refused = [];
    for (const junk of ["", "x", "a.b.c"]) refused.push(await auth.verifyToken(junk).catch((error) => error instanceof TokenRefused));
    return { users: twice.map((one) => one.userId), refused };
  },
  /** undici's and node-fetch's answers are of other classes than the global ones, and so are Jest's errors. */
  async otherClasses() {
    const answer = { status: 204, headers: new Headers(), arrayBuffer: () => Promise.reject(new TypeError()) };
    let asked = 0;
    const over = { url, apiKey: key, patience: 500, fetch: async () => (asked++, answer as unknown as Response) };
    await createServiceClient(over).billing.removeCard("pm_1", { user_id: user });
    const silent = { ...over, fetch: () => Promise.reject(runInNewContext("new TypeError('fetch failed')")) };
    return [asked, await refusal(() => createServiceClient(silent).users.get(user))];
  },
  /** Patience bounds a try that hangs. */
  async hanging() {
    const hung = (_: unknown, init?: RequestInit) => new Promise<Response>((_, reject) => {
      const waits = setTimeout(() => {}, 20_000); // the signal's timer does not keep Node
      init?.signal?.addEventListener("abort", () => (clearTimeout(waits), reject(init.signal!.reason)));
    });
    const before = performance.now();
    const outcome = await refusal(() => createServiceClient({ url, apiKey: key, patience: 300.5, fetch: hung }).users.get(user));
    return { outcome, seconds: (performance.now() - before) / 1000 };
  },
  async dots() {
    const before = performance.now();
    const name = await auth.verifyToken(`${".".repeat(1500)}\u00e9`).catch((error: Error) => error.name);
    return { name, seconds: (performance.now() - before) / 1000 };
  },
  async weakSecrets() {
    const { body, headers } = await signedDelivery(webhookSecret(), { type: "user.deleted", data: {} });
    const judged = ["", "whsec_", `whsec_${"A".repeat(30)}==`].map((secret) => verifyWebhook({ body, headers }, secret));
    return (await Promise.allSettled(judged)).map((one) => one.status === "rejected" && one.reason.name);
  },
  async notJson() {
    const [secret, at] = [webhookSecret(), String(Math.floor(Date.now() / 1000))];
    const signed = createHmac("sha256", Buffer.from(secret.slice(6), "base64")).update(`evt_1.${at}.{`).digest("base64");
    const headers = { "webhook-id": "evt_1", "webhook-timestamp": at, "webhook-signature": `v1,${signed}` };
    return verifyWebhook({ body: "{", headers }, secret).catch((error: Error) => [error.name, error.message]);
  },
  async webhook() {
    const { headers, body } = JSON.parse(readFileSync(delivery, "utf8"));
    const event = await verifyWebhook({ body, headers }, ...secrets);
    if (event.type !== "credits.low") return event.type;
    const refused = [];
    for (const wrong of [
      { body: `${body} `, headers },
      { body, headers: { ...headers, "webhook-id": "evt_2" } },
      { body, headers: { ...headers, "webhook-timestamp": "1" } },
      { body, headers: {} },
    ]) refused.push(await verifyWebhook(wrong, ...secrets).catch((error) => error instanceof WebhookRefused));
    refused.push(await verifyWebhook({ body, headers }, webhookSecret()).catch((error) => error instanceof WebhookRefused));
    return { available: event.data.available, refused };
  },
  async helpers() {
    const [secret, tokens] = [webhookSecret(), new AcceptedTokens()];
    const event = await verifyWebhook(await signedDelivery(secret, { type: "user.deleted", data: {} }), secret);
    const given = tokens.give(identity({ userId: "u1" }));
    const { userId } = await tokens.verifyToken(given);
    tokens.revoke(given);
    const old = await verifyWebhook(await signedDelivery(secret, { type: "user.deleted", data: {} }, 301), secret).catch(() => "old");
    return [event.type, userId, await tokens.verifyToken(given).catch(() => "revoked"), old];
  },
  async everything() {
    for (const group of [auth.users, auth.credits, auth.billing, auth.events, auth] as object[]) {
      const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(group)).filter((name) => !NOT_CALLS.has(name));
      for (const name of methods) await refusal(() => first((group as Record<string, Method>)[name]!(ODD[name] ?? "x", {})));
    }
  },
  away: () => refusal(() => auth.credits.use({ user_id: user, amount: 1 }).catch((error) => {
    if (error instanceof Unreachable) return "unreachable";
    throw error;
  })),
};

console.log(JSON.stringify((await commands[command]?.()) ?? null));
