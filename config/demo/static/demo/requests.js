// The requests behind each click, as sent over the wire, at the bottom of the page. Secrets are shortened.

import { find, last, make } from "./view.js";

const MOST = 30; // clicks
const SECRET = /password|token|secret|^credential$|^code$|^codes$|recovery_codes|^qr_svg$|otpauth/;
const HEADERS = ["Authorization", "Idempotency-Key"];
let shown = null;

/** `fetch`, and a row for it. Cookies go along: the one that binds a sign-in with Google to this browser is needed. */
export async function traced(input, init) {
  const request = new Request(new Request(input, init), { credentials: "same-origin" });
  const row = add(request, await request.clone().text());
  const began = performance.now();
  try {
    const answer = await fetch(request);
    await answered(row, answer, Math.round(performance.now() - began));
    return answer;
  } catch (error) {
    close(row, "no answer", "");
    throw error;
  }
}

function add(request, body) {
  const { pathname, search } = new URL(request.url);
  const line = `${request.method} ${pathname}${search}`;
  const heads = HEADERS.filter((name) => request.headers.has(name)).map((name) => `${name}: ${headOf(request, name)}`);
  const status = make("span", { className: "status" }, "…");
  const answer = make("pre", {});
  const sent = make("pre", {}, [line, ...heads, ...(body ? ["", readable(body)] : [])].join("\n"));
  const row = make("details", {}, make("summary", {}, make("code", {}, line), " ", status), sent, answer);
  groupOf(last.act).append(row);
  find("requests-last").textContent = line;
  return { line, status, answer };
}

/** The place of the requests behind one click: the newest click comes first, its requests in their order. */
function groupOf(act) {
  if (act !== shown) {
    shown = act;
    const list = find("requests-list");
    list.prepend(make("li", {}, make("strong", {}, act.words)));
    while (list.children.length > MOST) list.lastChild.remove();
  }
  return find("requests-list").firstChild;
}

async function answered(row, answer, milliseconds) {
  const text = answer.status === 204 ? "" : await answer.clone().text();
  const asked = answer.headers.get("X-Asked");
  const behind = asked ? `\n\nFor this the shop's server asked the internal listener:\n${asked.replaceAll(", ", "\n")}` : "";
  close(row, `${answer.status}, ${milliseconds} ms`, readable(text) + behind);
}

function close({ line, status, answer }, words, text) {
  status.textContent = words;
  answer.textContent = text;
  find("requests-last").textContent = `${line} → ${words}`;
}

function headOf(request, name) {
  const value = request.headers.get(name);
  return name === "Authorization" ? shortened(value) : value;
}

/** JSON on several lines, with secrets shortened; any other text as it is. */
function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), hideSecrets, 2);
  } catch {
    return text;
  }
}

function hideSecrets(name, value) {
  if (!SECRET.test(name) || value === null) return value;
  return typeof value === "string" ? shortened(value) : typeof value === "object" ? "…" : value;
}

/** Enough to tell two apart, too little to use. */
function shortened(text) {
  return text.length > 40 ? `${text.slice(0, 14)}…${text.slice(-4)}` : "…";
}
