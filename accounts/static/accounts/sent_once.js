// A button clicked twice sends its form once: of two answers the browser shows the second, and a secret that is shown
// once would be in the first. The page says yes again when somebody comes back to it.
let sent = new WeakSet();

document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (sent.has(event.target)) event.preventDefault();
  sent.add(event.target);
});
addEventListener("pageshow", () => {
  sent = new WeakSet();
});
