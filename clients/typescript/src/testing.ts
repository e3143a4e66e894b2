/** Helpers for the tests of services that use this package: signed-in users and signed deliveries. */
import { TokenRefused } from "./errors.js";
import type { ServiceEvent } from "./generated/events.js";
import { newKey } from "./http.js";
import type { Identity, Verifier } from "./tokens.js";
import { joined, keyOf } from "./webhooks.js";

/** Return a signed-in user with a verified address; `changes` replaces fields. */
export function identity(changes: Partial<Identity> = {}): Identity {
  const expiresAt = Math.floor(Date.now() / 1000) + 3600;
  const said = { emailVerified: true, status: "active", methods: ["pwd"], expiresAt };
  return { userId: crypto.randomUUID(), sessionId: crypto.randomUUID(), ...said, ...changes };
}

/** A Verifier that accepts the tokens it has issued. */
export class AcceptedTokens implements Verifier {
  readonly #identities = new Map<string, Identity>();

  give(who: Identity): string {
    const token = `test.${newKey()}.token`;
    this.#identities.set(token, who);
    return token;
  }

  revoke(token: string): void {
    this.#identities.delete(token);
  }

  async verifyToken(token: string): Promise<Identity> {
    const found = this.#identities.get(token);
    if (!found) throw new TokenRefused("The access token is not live.");
    return found;
  }
}

/** Return a secret like those that `event_subscription create` prints. */
export function webhookSecret(): string {
  return `whsec_${base64(crypto.getRandomValues(new Uint8Array(32)))}`;
}

/** Return the body and headers of a delivery, as the service would have sent it `age` seconds ago. */
export async function signedDelivery(
  secret: string,
  event: Pick<ServiceEvent, "type" | "data"> & Partial<ServiceEvent>,
  age = 0,
): Promise<{ body: string; headers: Record<string, string> }> {
  const said = { id: 1, created_at: new Date().toISOString(), user_id: crypto.randomUUID(), ...event };
  const body = JSON.stringify(said);
  const [id, at] = [`evt_${said.id}`, String(Math.floor(Date.now() / 1000 - age))];
  const key = await crypto.subtle.importKey("raw", keyOf(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signed = joined(new TextEncoder().encode(`${id}.${at}.`), new TextEncoder().encode(body));
  const signature = base64(new Uint8Array(await crypto.subtle.sign("HMAC", key, signed)));
  return { body, headers: { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": `v1,${signature}` } };
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
