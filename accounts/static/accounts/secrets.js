// Buttons beside a secret that is shown once: copy it, save it as a file, print it. They say that it was done.
const said = document.getElementById("said");
const text = (button) => document.getElementById(button.dataset.of).innerText.trim();

async function copy(button) {
  const shown = document.getElementById(button.dataset.of);
  try {
    await navigator.clipboard.writeText(text(button));
    said.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(shown); // without https there is no clipboard
    said.textContent = "Selected: press Ctrl+C or ⌘C to copy.";
  }
}

function save(button) {
  const link = document.createElement("a");
  link.href = `data:text/plain;charset=utf-8,${encodeURIComponent(`${text(button)}\n`)}`;
  link.download = button.dataset.file;
  link.click();
  said.textContent = "Saved.";
}

const DO = { copy, save, print: () => print() };
for (const button of document.querySelectorAll("[data-do]")) {
  button.hidden = false;
  button.addEventListener("click", () => DO[button.dataset.do](button));
}
