"""Look at a page in Chromium, in light and dark: axe-core says what is wrong with it, pictures show it to people."""

import os
import re
import shutil
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.clients.packages import NODE, NPM, ROOT, installed_once, run
from tests.in_browser.chromium import HEIGHT, SEEN_AT, WIDTHS

SOURCE = ROOT / "tests" / "axe"
TOLD = ("critical", "serious", "moderate")
# What colours decide is asked again in the dark; the rest does not depend on them.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
# The menu of the admin is the same on each of its pages: it is left away but where `whole` says so.
ASK = """async ([rules, whole]) => {
    if (!whole) document.getElementById("nav-sidebar")?.remove();
    const options = { resultTypes: ["violations"], ...(rules ? { runOnly: rules } : {}) };
    const found = await axe.run(document, options);
    return found.violations.flatMap(({ id, impact, nodes }) =>
        nodes.map((node) => [id, impact, `${node.html.slice(0, 200)} ${node.any[0]?.message ?? ""}`]));
}"""
# The admin keeps its colours in a class and moves from one to another in steps, the site in an attribute.
DARK = """(dark) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
    document.adoptedStyleSheets = [sheet];
    document.documentElement.classList.toggle("dark", dark);
    const { mdColorScheme } = document.body.dataset;
    if (mdColorScheme) document.body.dataset.mdColorScheme = dark ? "slate" : "default";
}"""


@cache
def axe() -> str:
    """Return the source of axe-core, as tests/axe/package-lock.json has it."""

    def install(place: Any) -> None:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(SOURCE / name, place)
        run([NODE, NPM, "ci"], place)

    place = installed_once("axe", SOURCE / "package-lock.json", install)
    return (place / "node_modules" / "axe-core" / "axe.min.js").read_text()


def put_on(page: Any, *, dark: bool) -> None:
    """Show the page in the dark, or in the light."""
    page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    page.evaluate(DARK, dark)


def seen_at(page: Any, width: int) -> None:
    """Show the page at a width, once its scripts have seen that width: they hear of it with the next frame."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


class Findings(dict[str, list[str]]):
    """The names of the pages by what is wrong with them, and how many pages were looked at."""

    looked_at = 0

    def __str__(self) -> str:
        return "\n" + "\n".join(
            f"{fault}\n    {len(pages)} pages: {pages[:3]}" for fault, pages in self.items()
        )


def look(
    page: Any,
    name: str,
    found: Findings,
    *,
    without: Collection[str] = (),
    whole: bool = True,
    asked_at: Collection[str] = tuple(WIDTHS),
) -> None:
    """Keep what is wrong with a page at each width, and pictures of it where ADMIN_PICTURES asks for them.

    `asked_at`: the widths at which axe is asked; whether the page fits is looked at in all.
    """
    found.looked_at += 1
    faults = [fault for kind, width in SEEN_AT.items() for fault in _misfits(page, name, kind, width)]
    for kind in asked_at:
        seen_at(page, WIDTHS[kind])
        # What is wrong in the dark is a matter of colours, which no width changes.
        faults += _faults(page, without, whole, themes=(False, True) if kind == "desk" else (False,))
    for fault in dict.fromkeys(faults):
        found.setdefault(fault, []).append(name)


def _misfits(page: Any, name: str, kind: str, width: int) -> Iterator[str]:
    seen_at(page, width)
    if page.evaluate("document.documentElement.scrollWidth") > width:
        yield f"wider than a {kind}"
    if "ADMIN_PICTURES" in os.environ:
        for theme in ("light", "dark"):
            put_on(page, dark=theme == "dark")
            page.screenshot(path=_picture(f"{name}-{width}-{theme}"), full_page=True)


def _faults(page: Any, without: Collection[str], whole: bool, *, themes: Collection[bool]) -> Iterator[str]:
    """Yield what axe finds on the page, in the dark and in the light as `themes` says."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe())
    for dark in themes:
        put_on(page, dark=dark)
        for rule, impact, where in page.evaluate(ASK, [OF_COLOURS if dark else None, whole]):
            if impact in TOLD and rule not in without:
                yield f"{rule} ({impact}{', dark' if dark else ''}): {where}"


def _picture(name: str) -> Path:
    place = ROOT / "var" / "pictures" / "pages"
    place.mkdir(parents=True, exist_ok=True)
    return place / f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.png"
