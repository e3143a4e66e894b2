"""A person without a mouse: Tab, Enter, Escape and typing. Each stop must be seen to have the focus."""

from typing import Any

MOST_STOPS = 250
NUMBER = """() => {
    const can = ["a[href]", "button", "input:not([type=hidden])", "select", "textarea", "[tabindex='0']"];
    const all = [...document.querySelectorAll(can.map((one) => `${one}:not(:disabled)`).join())];
    return all.filter((one) => one.checkVisibility()).map((one, number) => {
        one.dataset.stop = number;
        return one.outerHTML.slice(0, 120);
    });
}"""
# What shows the focus may be the element's own border or ring, or that of what it is in.
STOP = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const around = [one, one.parentElement, one.parentElement.parentElement].filter(Boolean);
    const marks = (element) => {
        const style = getComputedStyle(element);
        return [style.outline, style.boxShadow, style.borderColor, style.backgroundColor, style.left].join();
    };
    const box = one.getBoundingClientRect();
    const label = one.labels?.[0]?.innerText;
    const copy = one.cloneNode(true);
    copy.querySelectorAll("[aria-hidden=true]").forEach((icon) => icon.remove());
    const words = one.ariaLabel || label || copy.textContent.trim() || one.placeholder || one.title || one.name;
    const focused = around.map(marks);
    one.blur();
    const plain = around.map(marks);
    one.focus({ preventScroll: true });
    return {
        words: (words || one.tagName).trim().replace(/\\s+/g, " "),
        number: one.dataset.stop,
        in: one.closest("#content") ? "content" : "",
        shown: focused.some((mark, number) => mark !== plain[number]),
        inside: box.width > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
    };
}"""


class Keyboard:
    def __init__(self, page: Any) -> None:
        self.page = page

    def tab(self, key: str = "Tab") -> dict[str, Any] | None:
        """Go to the next stop and return it; None where the page is left."""
        self.page.keyboard.press(key)
        stop: dict[str, Any] | None = self.page.evaluate(STOP)
        assert stop is None or (stop["shown"] and stop["inside"]), f"nobody sees where the focus is: {stop}"
        return stop

    def skip(self) -> None:
        """Take the page's first stop, which leads past the menu."""
        self.page.wait_for_load_state()
        stop = self.tab()
        assert stop is not None
        assert stop["words"] == "Skip to the content", stop
        self.press("Enter")

    def reach(self, words: str) -> dict[str, Any]:
        seen = []
        for _ in range(MOST_STOPS):
            stop = self.tab()
            said = stop["words"] if stop else ""
            if stop and (said.startswith(words) or f" {words}" in said):
                return stop
            seen.append(said)
        raise AssertionError(f"{words!r} cannot be reached, but {seen[:60]}")

    def use(self, words: str) -> None:
        self.reach(words)
        self.press("Enter")

    def fill(self, label: str, text: str) -> None:
        self.reach(label)
        self.page.keyboard.type(text)

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def focused(self) -> str:
        stop = self.page.evaluate(STOP)
        return str(stop["words"]) if stop else ""

    def walk(self) -> tuple[list[str], list[str]]:
        """Press Tab until the page begins again; return what can have the focus, and what of it never had."""
        there = self.page.evaluate(NUMBER)
        reached: set[str] = set()
        for _ in range(MOST_STOPS):
            stop = self.tab()
            if stop and stop["number"] is not None:
                begins_again = stop["number"] == "0" and bool(reached)
                reached.add(stop["number"])
                if begins_again:
                    break
        else:
            raise AssertionError(f"a trap: {MOST_STOPS} stops, and the first was never there again")
        return there, [one for number, one in enumerate(there) if str(number) not in reached]
