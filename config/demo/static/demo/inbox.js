// A stand-in for a mailbox: development writes mails to files, and /demo/api/inbox lists those to one address.

import { find, make, onSubmit, say } from "./view.js";

const PATIENCE = 12; // seconds; a worker sends mails

export function start() {
  onSubmit(find("inbox"), ({ to }) => look(to));
}

/** Looks until there is a mail that was not there before. */
export async function watch(address) {
  const form = find("inbox");
  form.elements.to.value = address;
  const newest = (await look(address))[0]?.file;
  for (let second = 0; second < PATIENCE; second++) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if ((await look(address))[0]?.file !== newest) return;
  }
}

async function look(address) {
  const answer = await fetch(`/demo/api/inbox?to=${encodeURIComponent(address)}`);
  const { results } = answer.ok ? await answer.json() : { results: [] };
  const items = results.map(mail);
  find("mails").replaceChildren(...(items.length ? items : [make("li", { className: "quiet" }, "No emails yet.")]));
  return results;
}

function mail({ subject, text, links, code, file }) {
  const parts = links.map((link) => make("p", {}, make("a", { href: link, target: "_blank" }, pathOf(link))));
  if (code) parts.unshift(codeOf(code));
  const whole = make("details", {}, make("summary", {}, "The whole email"), make("pre", {}, text));
  const item = make("li", {}, make("div", {}, make("strong", {}, subject), ...parts, whole));
  item.dataset.file = file;
  return item;
}

function pathOf(link) {
  const { pathname } = new URL(link);
  return pathname;
}

function codeOf(code) {
  const use = make("button", { type: "button", className: "small" }, "Use the code");
  use.addEventListener("click", () => {
    const form = find("verify");
    form.elements.email.value = find("inbox").elements.to.value;
    form.elements.code.value = code;
    form.elements.code.focus();
    say("The code is in the form.");
  });
  return make("p", {}, make("code", {}, code), " ", use);
}
