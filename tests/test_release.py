"""A release by hand: the changelog is cut, the version written, and a tag says what is new."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import release
from config import VERSION

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = "# Changelog\n\n## Unreleased\n\n### Added\n\n- A thing.\n\n## 0.0.9 (2026-01-02)\n\n- Another.\n"


@pytest.fixture
def copy(tmp_path):
    """A repository with what a release touches."""
    for name in (
        ".gitignore",
        *release.PLACES,
        *(f"script/lib/{one}.py" for one in ("release", "installing", "processes")),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    for name, value in (("user.name", "Somebody"), ("user.email", "somebody@example.com")):
        git(tmp_path, "config", name, value)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "All of it")
    return tmp_path


def git(place, *arguments):
    return subprocess.run(
        [shutil.which("git") or "git", *arguments], cwd=place, capture_output=True, text=True, check=True
    ).stdout.strip()


def released(place, *arguments):
    command = [sys.executable, "script/lib/release.py", *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)


def test_a_tag_has_the_version_and_what_is_new(copy):
    done = released(copy, "tag", "0.2.0")
    assert done.returncode == 0, done.stderr
    assert git(copy, "tag", "--list", "--format=%(contents:body)", "v0.2.0") == "### Added\n\n- A thing."
    text = git(copy, "show", "v0.2.0:CHANGELOG.md")
    assert text.startswith("# Changelog\n\n## Unreleased\n\n## 0.2.0 (20")
    assert text.endswith("### Added\n\n- A thing.\n\n## 0.0.9 (2026-01-02)\n\n- Another.")
    for place, form in release.PLACES.items():
        assert form.format("0.2.0") in git(copy, "show", f"v0.2.0:{place}")
    assert git(copy, "status", "--porcelain") == ""


def test_every_place_has_the_same_version_today():
    for place, form in release.PLACES.items():
        assert form.format(VERSION) in (ROOT / place).read_text()


@pytest.mark.parametrize(
    ("before", "version", "said"),
    [
        (lambda copy: (copy / "new").touch(), "0.2.0", "not committed"),
        (lambda copy: git(copy, "tag", "v0.2.0"), "0.2.0", "there already"),
        (lambda copy: git(copy, "tag", "v0.10.0"), "0.9.0", "later version"),
        (lambda copy: None, "0.2", "not a version"),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_is_changed(copy, before, version, said):
    before(copy)
    head, tags = git(copy, "rev-parse", "HEAD"), git(copy, "tag")
    done = released(copy, "tag", version)
    assert done.returncode
    assert said in done.stderr
    assert (git(copy, "rev-parse", "HEAD"), git(copy, "tag")) == (head, tags)


def test_a_release_of_nothing_is_refused(copy):
    assert released(copy, "tag", "0.2.0").returncode == 0
    done = released(copy, "tag", "0.3.0")
    assert done.returncode
    assert "nothing under Unreleased" in done.stderr
    assert git(copy, "status", "--porcelain") == ""


def test_the_changelog_of_now_can_be_cut():
    text, section = release.cut((ROOT / "CHANGELOG.md").read_text(), "9.9.9", "2026-11-28")
    assert section.startswith("### ")
    assert text.count("## 9.9.9 (2026-11-28)") == text.count("## Unreleased") == 1


def test_continuous_integration_runs_what_people_run():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]
    assert [step["run"] for step in jobs["test"]["steps"] if "run" in step][-1] == ".ci/run"
    assert jobs["test"]["strategy"]["matrix"]["python"][0] == "3.11"


def test_images_are_to_be_pinned_by_their_digests():
    assert "docker:pinDigests" in json.loads((ROOT / "renovate.json").read_text())["extends"]
