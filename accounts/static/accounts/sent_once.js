// A double click sends a form once: the browser shows the second response, but a secret that is shown only once is in
// the first. A page that is returned to may send its form again.
let sent = new WeakSet();

document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (sent.has(event.target)) event.preventDefault();
  sent.add(event.target);
});
addEventListener("pageshow", () => {
  sent = new WeakSet();
});
