// What django-unfold opens by a click on a plain element also works by keyboard: reached by Tab, used by Enter or the
// space bar, left by Escape. Pages get their main landmark, and icons, which are words in a font, are not read out.
const NATIVE = "a[href], button, input, select, textarea, summary, label";
const ICON = ".material-symbols-outlined";
const NAMES = {
  "sidebarDesktopOpen = ": "Show or hide the menu",
  "sidebarMobileOpen = ": "Show or hide the menu",
  "openTheme = ": "Colours",
  "filterOpen = false": "Close the filters",
};
const WORDS = { more_horiz: "More actions", search: "Search", shield_person: "Overview", close: "Close" };
const made = new Set();
let opened = null; // what was used last to open something, and gets the focus back

function make(element) {
  const does = element.getAttribute("x-on:click");
  const name = Object.keys(NAMES).find((beginning) => does.includes(beginning));
  element.tabIndex = 0;
  element.setAttribute("role", "button");
  if (name) element.setAttribute("aria-label", NAMES[name]);
  made.add(element);
}

/** Return what a click on the element shows: a menu beside it, the filters, or the menu of the whole page. */
function panelOf(element) {
  const does = element.getAttribute("x-on:click");
  if (does.includes("filterOpen")) return document.getElementById("changelist-filter");
  if (does.includes("sidebarMobileOpen")) return document.getElementById("nav-sidebar");
  return /= !open/.test(does) ? element.closest("[x-data]").querySelector("[x-show]") : null;
}

/** Hide an icon's word from those who listen, and say what it means where there are no other words. */
function silence(icon) {
  const word = icon.textContent.trim();
  icon.setAttribute("aria-hidden", "true");
  const around = icon.parentElement;
  if (around.title && !around.matches(NATIVE)) {
    around.setAttribute("role", "img"); // yes and no in a list
    around.setAttribute("aria-label", around.title);
  }
  const control = icon.closest("a, button, [role=button]");
  if (!control || control.title || control.ariaLabel) return;
  const copy = control.cloneNode(true);
  for (const one of copy.querySelectorAll(ICON)) one.remove();
  if (!copy.textContent.trim()) control.setAttribute("aria-label", WORDS[word] ?? word.replaceAll("_", " "));
}

function enter(panel) {
  const first = [...panel.querySelectorAll(`${NATIVE}, [role=button]`)].find((one) => one.checkVisibility());
  first?.focus();
}

function use(element) {
  element.click();
  const panel = panelOf(element);
  if (!panel) return;
  // Alpine shows it in the next frame.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      if (!panel.checkVisibility()) return opened?.focus();
      opened = element;
      enter(panel);
    }),
  );
}

function leave() {
  const panel = opened && panelOf(opened);
  if (panel?.checkVisibility() && !opened.getAttribute("x-on:click").includes("filterOpen")) opened.click();
  opened?.focus();
  opened = null;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") leave();
  if (!made.has(event.target) || !["Enter", " "].includes(event.key)) return;
  event.preventDefault();
  use(event.target);
});

document.addEventListener("DOMContentLoaded", () => {
  (document.getElementById("main") ?? document.getElementById("page"))?.setAttribute("role", "main");
  for (const element of document.querySelectorAll("[x-on\\:click]")) if (!element.matches(NATIVE)) make(element);
  for (const icon of document.querySelectorAll(ICON)) if (!made.has(icon)) silence(icon);
});
