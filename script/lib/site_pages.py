"""Adds the rest of the site to docs/, as a MkDocs hook: the API's reference from the OpenAPI documents, pages from
files outside docs/, and the script that draws diagrams, so that a reader's browser contacts no other host.
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path += [path for path in (str(ROOT), str(ROOT / "script" / "lib")) if path not in sys.path]

from mkdocs.config.defaults import MkDocsConfig  # noqa: E402
from mkdocs.structure.files import File, Files  # noqa: E402
from mkdocs.structure.pages import Page  # noqa: E402

import site_reference  # noqa: E402
from site_build import DIAGRAMS  # noqa: E402

# Files of the project that become pages of the site, with their paths there.
PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "clients/python/README.md": "reference/python.md",
    "clients/typescript/README.md": "reference/typescript.md",
    "tests/proof/README.md": "project/proof.md",
}
SOURCES = {place: source for source, place in PAGES.items()}
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
BEFORE = (
    '<script id="__config"'  # Material's own script comes after it, and would load the library from elsewhere
)
SEARCH = 'class="md-search" data-md-component="search" role="dialog"'
# A folder with its own page is labelled only by an arrow; its title comes right after.
MENU = re.compile(
    r'(<nav class="md-nav" data-md-level="\d+") aria-labelledby="\w+"'
    r'([^>]*>\s*<label class="md-nav__title"[^>]*>\s*<span[^>]*></span>\s*)([^<]*[^<\s])'
)


def on_config(config: MkDocsConfig) -> None:
    """Add the reference of both listeners to the navigation, with a page for each section of the API."""
    (reference,) = (one["Reference"] for one in config.nav or [] if "Reference" in one)
    for title, pages in site_reference.navigation().items():
        reference.append({title: [{name: place} for name, place in pages.items()]})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    made = {place: (ROOT / source).read_text() for source, place in PAGES.items()}
    for place, text in {**made, **site_reference.pages()}.items():
        files.append(File.generated(config, place, content=text))
    if library := config.extra.get("mermaid"):
        files.append(File.generated(config, DIAGRAMS, content=Path(library).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links to other files of the project at their pages; where a file is not part of the site, keep only the
    text.
    """
    source = SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def led(found: re.Match[str]) -> str:
        mark, words, target, anchor = found.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place is None:
            return words
        if (ROOT / path).is_dir():
            place += "/README.md"
        if place == "figures.json":
            return words
        return (
            f"{mark}[{words}]({posixpath.relpath(place, posixpath.dirname(page.file.src_uri))}{anchor or ''})"
        )

    return LINK.sub(led, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Add the labels for screen readers that Material leaves out, and have diagrams drawn by our own library."""
    output = output.replace(SEARCH, f'{SEARCH} aria-label="Search"', 1)
    output = MENU.sub(r'\1 aria-label="\3"\2\3', output)
    if 'class="mermaid"' not in output:
        return output
    script = posixpath.relpath(DIAGRAMS, posixpath.dirname(page.file.src_uri))
    return output.replace(BEFORE, f'<script src="{script}"></script>{BEFORE}', 1)
