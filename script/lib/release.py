"""Make a release: the changelog's section and the tag, then the files that are published with it."""

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import installing

ROOT = Path(__file__).resolve().parents[2]
NAME = "auth-service"
OPEN = "## Unreleased\n"
SEMANTIC = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# Where the version is written, and in what form: a test compares them.
PLACES = {
    "pyproject.toml": 'version = "{}"',
    "config/__init__.py": 'VERSION = "{}"',
    "clients/python/pyproject.toml": 'version = "{}"',
    "clients/typescript/package.json": '"version": "{}"',
}
IN_IMAGE = ("requirements.txt", "requirements-tracing.txt")


def main() -> None:
    parser = argparse.ArgumentParser(prog="script/release", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("tag").add_argument("version", type=_semantic)
    build = steps.add_parser("build")
    build.add_argument("tag")
    build.add_argument("--to", type=Path, default=ROOT / "dist")
    asked = parser.parse_args()
    if asked.step == "tag":
        tag(asked.version)
    else:
        publish(asked.tag, asked.to)


def _semantic(text: str) -> str:
    if not SEMANTIC.fullmatch(text):
        raise argparse.ArgumentTypeError("not a version; expected something like 0.2.0")
    return text


# The tag


def tag(version: str) -> None:
    """Commit the changelog and the version, and tag that commit. Exit without changes if something is in the way."""
    _refuse_what_is_in_the_way(version)
    changelog = ROOT / "CHANGELOG.md"
    text, section = cut(changelog.read_text(), version, datetime.now(UTC).date().isoformat())
    changelog.write_text(text)
    for place, form in PLACES.items():
        _write_version(ROOT / place, form, version)
    _git("commit", "--quiet", "--message", f"Release {version}", "--", "CHANGELOG.md", *PLACES)
    how = "--sign" if _git("config", "user.signingkey", check=False) else "--annotate"
    _git("tag", how, f"v{version}", "--cleanup=verbatim", "--message", f"{version}\n\n{section}")
    print(f"Tagged v{version}. Look at it (git show v{version}), then: git push --follow-tags")


def _refuse_what_is_in_the_way(version: str) -> None:
    if _git("status", "--porcelain"):
        sys.exit("There are changes that are not committed.")
    if _git("tag", "--list", f"v{version}"):
        sys.exit(f"v{version} is there already.")
    released = [one.removeprefix("v") for one in _git("tag", "--list", "v*").split()]
    if any(_numbers(one) > _numbers(version) for one in released if SEMANTIC.fullmatch(one)):
        sys.exit(f"A later version than {version} is tagged.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def cut(changelog: str, version: str, date: str) -> tuple[str, str]:
    """Return the changelog with the unreleased changes moved under the version, and that section by itself."""
    before, found, rest = changelog.partition(OPEN)
    section, heading, older = rest.partition("\n## ")
    if not found or not section.strip():
        sys.exit("CHANGELOG.md has nothing under Unreleased.")
    text = f"{before}{OPEN}\n## {version} ({date})\n{section}{heading}{older}"
    return text, section.strip()


def _write_version(path: Path, form: str, version: str) -> None:
    pattern = re.escape(form).replace(r"\{\}", SEMANTIC.pattern)
    text, count = re.subn(pattern, form.format(version), path.read_text())
    if count != 1:
        sys.exit(f"{path.name} has the version {count} times.")
    path.write_text(text)


# What is published


def publish(name: str, directory: Path) -> None:
    """Write a tag's archive, SBOM, changelog section and their checksums into the directory."""
    version = name.removeprefix("v")
    directory.mkdir(parents=True, exist_ok=True)
    archive = directory / f"{NAME}-{version}.tar.gz"
    _git("archive", "--format=tar.gz", f"--prefix={NAME}-{version}/", f"--output={archive}", name)
    notes = directory / f"{NAME}-{version}.md"
    notes.write_text(_git("tag", "--list", "--format=%(contents:body)", name) + "\n")
    bill = directory / f"{NAME}-{version}.cdx.json"
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(archive) as packed:
            packed.extractall(place, filter="data")
        _list_packages(Path(place) / f"{NAME}-{version}", bill)
    sums = "".join(f"{_digest(one)}  {one.name}\n" for one in sorted((archive, notes, bill)))
    (directory / "SHA256SUMS").write_text(sums)
    print(sums, end="")


def _list_packages(source: Path, bill: Path) -> None:
    """Install what the image contains, and have cyclonedx-bom list it with licences and dependencies."""
    product = _environment(source / ".product", [source / name for name in IN_IMAGE])
    tool = _environment(source / ".tool", [source / "requirements-release.txt"])
    command = [str(tool), "-m", "cyclonedx_py", "environment", str(product), "--output-reproducible"]
    described = ["--pyproject", str(source / "pyproject.toml"), "--mc-type", "application"]
    subprocess.run([*command, *described, "--output-file", str(bill)], check=True)


def _environment(place: Path, lock_files: list[Path]) -> Path:
    """Return the Python of a new environment that has only the locked packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    requirements = [word for file in lock_files for word in ("--requirement", str(file))]
    installers = (*installing.uv(python), installing.pip(python))
    if not any(installing.succeeds([*installer, *requirements]) for installer in installers):
        sys.exit(installing.explain_failure(lock_files))
    return python


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"git {' '.join(arguments[:2])}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
