"""The documentation as a site: every link leads somewhere, it asks no other host for anything, and it is complete."""

import re
from pathlib import Path

import pytest

import site_build
import site_reference
from accounts.mail.kinds import KINDS, NOTICES
from accounts.views.google import FRONT_END_PAGE
from tests.in_browser.accessibility import Findings, look
from tests.in_browser.chromium import IS_THERE, chromium, opened_page
from tests.surface import routes_of

ROOT = Path(__file__).resolve().parent.parent
COPY_BUTTONS = ("landmark-unique",)  # Material has a landmark without a name around each
FOREIGN = re.compile(
    r'<(?:script|img|iframe)\b[^>]*\ssrc="(?:https?:)?//[^"]*"'
    r'|<link\b[^>]*rel="(?:stylesheet|preconnect|preload|icon)"[^>]*href="(?:https?:)?//[^"]*"'
    r'|<link\b[^>]*href="(?:https?:)?//[^"]*"[^>]*rel="(?:stylesheet|preconnect|preload|icon)"'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as `script/docs` does, but for the library that draws diagrams; a broken link fails this."""
    place = tmp_path_factory.mktemp("site")
    library = place / "library.js"
    library.write_text("window.mermaid = {};")
    site_build.build(place / "site", mermaid=library)
    return place / "site"


def pages(site: Path) -> list[Path]:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 80
    return found


def test_a_reader_asks_no_other_host_for_anything(site: Path) -> None:
    assert {str(page): found for page in pages(site) if (found := FOREIGN.findall(page.read_text()))} == {}


def test_diagrams_are_drawn_by_the_library_that_the_site_has(site: Path) -> None:
    """Material fetches it from elsewhere unless it is there first."""
    with_diagrams = [page for page in pages(site) if 'class="mermaid"' in page.read_text()]
    assert len(with_diagrams) >= 7
    for page in with_diagrams:
        text = page.read_text()
        script = re.search(r'<script src="([^"]*mermaid\.min\.js)"></script>', text)
        assert script, page
        assert (page.parent / script[1]).resolve() == site / site_build.DIAGRAMS
        assert script.start() < text.index("assets/javascripts/bundle")


def test_diagrams_have_a_title_for_those_who_hear_them() -> None:
    texts = {path: path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))}
    diagrams = [(path, block) for path, text in texts.items() for block in text.split("```mermaid\n")[1:]]
    assert len(diagrams) >= 10
    assert [path for path, block in diagrams if "\n    accTitle: " not in block.partition("```")[0]] == []


@pytest.mark.parametrize("listener", site_reference.LISTENERS)
def test_the_reference_has_every_operation(site: Path, listener: str) -> None:
    text = "".join(page.read_text() for page in (site / "reference" / "api" / listener).glob("*.html"))
    routes = [route for route in routes_of(listener) if route.note not in {"docs", "metrics"}]
    assert len(routes) > 30
    assert [route for route in routes if f"<code>{route.method} {route.path}</code>" not in text] == []


def test_no_table_of_the_reference_has_an_empty_column(site: Path) -> None:
    pages_of_calls = [page.read_text() for page in (site / "reference" / "api").rglob("*.html")]
    tables = [
        table for text in pages_of_calls for table in re.findall(r"<tbody>.*?</tbody>", text, re.DOTALL)
    ]
    assert len(tables) > 100
    assert [one for one in tables if one.count("<tr>") == len(re.findall(r"<td></td>\s*</tr>", one))] == []


def test_the_table_of_a_front_ends_pages_has_those_that_mails_and_google_lead_to() -> None:
    text = (ROOT / "docs" / "guides" / "front-end.md").read_text()
    listed = re.findall(r"^\| `/([\w-]+)` \|", text, re.MULTILINE)
    pages_of_mails = {kind.page for kind in (*KINDS.values(), *NOTICES.values())}
    led_to = {page for page in pages_of_mails if not page.startswith("admin/")}  # those are for staff
    assert len(listed) == 9
    assert set(listed) == led_to | {"refuse-registration", FRONT_END_PAGE}


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 90


@IS_THERE
def test_a_page_of_each_kind_can_be_read_by_everybody(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first page and one of each folder, in light and dark."""
    first = {page.parent: page for page in reversed(pages(site)) if page.parent != site}
    kinds = [site / "index.html", *first.values()]
    found = Findings()
    with chromium(monkeypatch) as browser:
        page = opened_page(browser, [], [])
        for kind in kinds:
            page.goto(kind.as_uri())
            look(page, f"site-{kind.relative_to(site).with_suffix('')}", found, without=COPY_BUTTONS)
    assert found.looked_at > 8
    assert not found, str(found)
