// Displays text, lists, forms, and problems beside what caused them. Text never becomes markup.

import { Problem, SignedOut } from "./client/index.js";

/** What the person did last: requests.js lists requests under it. */
export const last = { act: { words: "The page opens" } };

export const find = (id) => document.getElementById(id);

/** `make("li", {className: "row"}, "text", otherElement)` */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

export function show(element, visible = true) {
  element.hidden = !visible;
}

/** Says what has happened, also to screen readers (role=status). */
export function say(text) {
  find("said").textContent = text;
}

export const day = (text) => new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

// Stripe counts in hundredths except for these: https://docs.stripe.com/currencies#zero-decimal
const WHOLE = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(" ");
const THOUSANDTHS = "bhd jod kwd omr tnd".split(" ");

export function money(amount, currency) {
  const digits = WHOLE.includes(currency) ? 0 : THOUSANDTHS.includes(currency) ? 3 : 2;
  const options = { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat([], options).format(amount / 10 ** digits);
}

/** Runs `act(fields)` when the form is sent; a problem is shown in the form, at the fields it names. */
export function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(form));
    attempt(form, event.submitter, () => act(fields, event.submitter));
  });
}

/** The same for a button; its problem is shown in `place`, or around the button, or at the top. */
export function onClick(button, act, place = null) {
  button.addEventListener("click", () => {
    attempt(place ?? button.closest("form, section, dialog") ?? find("arrival"), button, act);
  });
}

async function attempt(place, button, act) {
  clearProblem(place);
  say("");
  last.act = { words: button?.ariaLabel || button?.textContent.trim() || "The page" };
  if (button) button.disabled = true;
  try {
    await act();
  } catch (problem) {
    showProblem(place, problem);
  } finally {
    if (button) button.disabled = false;
  }
}

export function clearProblem(place) {
  place.querySelectorAll(".problem").forEach((shown) => shown.remove());
  place.querySelectorAll("[aria-invalid]").forEach((field) => {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  });
}

/** The problem document as it is, below a sentence for people; `validation_error` names the fields as well. */
export function showProblem(place, problem) {
  if (problem instanceof SignedOut) return say(problem.message); // main.js shows the signed-out page
  if (!(problem instanceof Problem)) {
    // Not an answer of the API: a cancelled passkey dialog, or an error in this page.
    place.append(make("div", { className: "problem", role: "alert" }, make("p", {}, String(problem.message))));
    return;
  }
  const rest = (problem.document.errors ?? []).filter((error) => !showAtField(place, error));
  const sentences = [problem.message, ...rest.map((error) => `${error.field}: ${error.detail}`)];
  const source = make("pre", {}, JSON.stringify(problem.document, null, 2));
  const details = make("details", {}, make("summary", {}, `${problem.document.status} ${problem.code}`), source);
  const paragraphs = sentences.map((sentence) => make("p", {}, sentence));
  place.append(make("div", { className: "problem", role: "alert" }, ...paragraphs, details));
}

function showAtField(place, { field: name, detail }) {
  const field = place.querySelector(`[name="${CSS.escape(name)}"]`);
  if (!field) return false;
  const id = `${place.id || "form"}-${name}-problem`;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", id);
  field.after(make("span", { id, className: "problem at-field" }, detail));
  return true;
}

/** Rows of a list, or a sentence in their place. */
export function fill(list, rows, empty) {
  list.replaceChildren(...(rows.length ? rows : [make("li", { className: "quiet" }, empty)]));
}

/** A row: a text, something small below it, and buttons. */
export function row(text, small, ...buttons) {
  const words = make("div", {}, make("div", {}, text), make("div", { className: "quiet" }, small));
  return make("li", {}, words, ...buttons);
}

/** A button of a row; `label` is what screen readers hear beside the words. */
export function button(words, act, { label = words, place = null } = {}) {
  const made = make("button", { type: "button", className: "small" }, words);
  made.setAttribute("aria-label", label);
  onClick(made, act, place);
  return made;
}
