/** Verifying the events that the service sends by POST, signed by the Standard Webhooks scheme. */
import { WebhookRefused } from "./errors.js";
import type { ServiceEvent } from "./generated/events.js";

export { WebhookRefused } from "./errors.js";
export type * from "./generated/events.js";

const TOLERANCE = 300; // seconds, either way
const LEAST_BYTES = 24; // of a secret, by Standard Webhooks; with an empty one anyone could sign

export interface Delivery {
  /** As it was received: once parsed and serialised again, its signature differs. */
  body: string | Uint8Array;
  headers: Headers | Record<string, string | string[] | undefined>;
}

/**
 * Return the event of a delivery signed with one of `secrets` (both, while a secret is rotated). Throws WebhookRefused.
 * Events are delivered at least once: remember the event's `id`, and answer 2xx within five seconds.
 */
export async function verifyWebhook({ body, headers }: Delivery, ...secrets: string[]): Promise<ServiceEvent> {
  const named = headers instanceof Headers ? headers : lowered(headers);
  const [id, at, given] = ["id", "timestamp", "signature"].map((name) => named.get(`webhook-${name}`) ?? "");
  if (!id || !at || !given) throw new WebhookRefused("A header of the signature is missing.");
  if (!/^\d+$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > TOLERANCE) {
    throw new WebhookRefused("The delivery is too old, or a clock is wrong.");
  }
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const signed = joined(new TextEncoder().encode(`${id}.${at}.`), bytes);
  const signatures = given.split(" ").filter((one) => one.startsWith("v1,")).map((one) => decoded(one.slice(3)));
  for (const secret of secrets) {
    const key = await crypto.subtle.importKey("raw", keyOf(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    for (const signature of signatures) {
      if (signature && (await crypto.subtle.verify("HMAC", key, signature, signed))) {
        return parsed(new TextDecoder().decode(bytes));
      }
    }
  }
  throw new WebhookRefused("No signature of the delivery is right.");
}

function parsed(body: string): ServiceEvent {
  try {
    return JSON.parse(body) as ServiceEvent;
  } catch {
    throw new WebhookRefused("The body is signed, but it is not JSON.");
  }
}

/** Return a secret's bytes. Throws TypeError if it is not a valid secret. */
export function keyOf(secret: string): Uint8Array<ArrayBuffer> {
  const key = decoded(secret.replace(/^whsec_/, ""));
  if (!key || key.length < LEAST_BYTES) {
    throw new TypeError("This is not a webhook's secret: it begins with whsec_, and 24 bytes or more follow.");
  }
  return key;
}

function decoded(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  } catch {
    return null;
  }
}

/** Return both pieces in a new buffer. */
export function joined(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(head.length + tail.length);
  both.set(head);
  both.set(tail, head.length);
  return both;
}

function lowered(headers: Record<string, string | string[] | undefined>): Map<string, string> {
  return new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value ?? "")]));
}
