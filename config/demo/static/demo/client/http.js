import { AuthServiceError, Problem, UnexpectedAnswer, Unreachable } from "./errors.js";
/** Milliseconds that one attempt may take, unless `timeout` says otherwise. */
export const LONGEST_ANSWER = 15_000;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;
const WITHOUT_BODY = new Set([204, 205, 304]);
/** An Idempotency-Key of 128 random bits, for one intention. */
export function newKey() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
/** Make a call, retrying it by the rule, and return its document; `undefined` for a 204. */
export async function call(what, settings = {}) {
    const until = Date.now() + (settings.patience ?? 30_000);
    for (let pause = FIRST_PAUSE;; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
        const { answer, silence } = await attempt(what, settings, until);
        const wait = answer ? await pauseAfter(answer, what, pause) : what.repeatable ? spread(pause) : null;
        if (wait === null || Date.now() + wait > until) {
            if (answer)
                return read(answer);
            throw new Unreachable(`The service did not answer: ${String(silence)}`, { cause: silence });
        }
        await new Promise((resolve) => setTimeout(resolve, wait));
    }
}
/** An answer, or why there is none. A `fetch` that is given, or Jest's, has a Response and an Error of its own. */
async function attempt(what, settings, until) {
    const headers = new Headers();
    for (const [name, value] of Object.entries(what.headers ?? {}))
        if (value !== undefined)
            headers.set(name, value);
    if (what.body !== undefined)
        headers.set("Content-Type", "application/json");
    const body = what.body === undefined ? null : JSON.stringify(what.body); // not in `try`: a BigInt in it is the caller's error
    try {
        const response = await (settings.fetch ?? fetch)(what.url + queryOf(what.query), {
            method: what.method,
            headers,
            body,
            credentials: "omit",
            redirect: "manual", // keys, tokens and passwords are for this address alone
            signal: AbortSignal.timeout(longest(settings, until)),
        });
        if (response.status === 0)
            return { answer: response }; // what browsers make of a redirect
        const said = WITHOUT_BODY.has(response.status) ? null : await response.arrayBuffer(); // may be lost half way
        return { answer: new Response(said, response) };
    }
    catch (silence) {
        return { silence };
    }
}
/** How long a try may take. Without patience there is one, and only `timeout` bounds it. */
function longest({ patience, timeout = LONGEST_ANSWER }, until) {
    return patience === 0 ? timeout : Math.min(timeout, Math.ceil(Math.max(until - Date.now(), FIRST_PAUSE)));
}
async function pauseAfter(answer, what, pause) {
    const repeated = answer.status === 503 ||
        (what.repeatable && (answer.status === 429 || answer.status >= 500)) ||
        (answer.status === 409 && (await documentOf(answer.clone()))?.["code"] === "idempotency_in_progress");
    if (!repeated)
        return null;
    const said = retryAfter(answer);
    return said ? said * 1000 * (1 + Math.random() / 10) : spread(pause); // for 0 too, which would mean no pause
}
function spread(pause) {
    return pause * (0.5 + Math.random() / 2);
}
async function read(answer) {
    if (answer.status === 204)
        return undefined;
    const document = await documentOf(answer);
    if (answer.ok && document)
        return document;
    if (typeof document?.["code"] !== "string" || typeof document["status"] !== "number")
        throw new UnexpectedAnswer(answer.status);
    throw new Problem(document, retryAfter(answer));
}
async function documentOf(answer) {
    try {
        const document = await answer.json();
        return typeof document === "object" ? document : null;
    }
    catch {
        return null;
    }
}
/** Return the seconds in `Retry-After`, which proxies may write as a date. */
function retryAfter(answer) {
    const text = answer.headers.get("Retry-After");
    if (text === null)
        return null;
    const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
    return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}
function queryOf(query = {}) {
    const said = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
    return said.length ? `?${new URLSearchParams(said.map(([name, value]) => [name, String(value)]))}` : "";
}
/** Return whether an error is a refusal with this code; its `document` then has that code's type. */
export function isProblem(error, code) {
    return error instanceof Problem && error.code === code;
}
/** Return whether a call that ended with this error may have been carried out: the service has not said otherwise. */
export function mayBeDone(error) {
    if (error instanceof Problem && error.code === "idempotency_in_progress")
        return true;
    if (error instanceof Problem || error instanceof UnexpectedAnswer)
        return error.status < 300 || error.status >= 500;
    return error instanceof Unreachable;
}
export { AuthServiceError };
