"""The supervisor, run for real with real processes: restarts, order of the end, and nothing left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import LINUX, started_at
from tests.waiting import PATIENCE, eventually

ROOT = Path(__file__).resolve().parent.parent


def is_gone(pid: int) -> bool:
    return started_at(pid) is None


class Family:
    """The supervisor and its children, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process: subprocess.Popen[str] | None = None

    def start(self, *members: str, **options: object) -> "Family":
        self.clear("up", *(f"{member.split('=')[0]}.pid" for member in members))
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "supervised_family.py"), str(self.directory), *members],
            env={**os.environ, "PYTHONPATH": str(ROOT / "script" / "lib")},
            stdout=subprocess.PIPE,
            text=True,
            **options,  # type: ignore[call-overload]
        )
        return self

    def clear(self, *names: str) -> None:
        for name in names:
            (self.directory / name).unlink(missing_ok=True)

    def is_up(self) -> bool:
        return (self.directory / "up").exists()

    def pid(self, name: str) -> int:
        return int((self.directory / f"{name}.pid").read_text())

    def events(self) -> list[str]:
        return (self.directory / "events").read_text().splitlines()

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        assert self.process
        output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family(tmp_path)
    yield family
    if family.process and family.process.poll() is None:
        family.process.kill()
    if family.process:
        family.process.communicate()


class TestRestart:
    def test_a_killed_child_is_started_again(self, family: Family) -> None:
        family.start("store=good", "web=good")
        eventually(family.is_up, "up")
        killed = family.pid("web")
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: family.pid("web") != killed, "another web")
        assert not is_gone(family.pid("store"))

    def test_heirs_of_a_killed_child_are_ended_first(self, family: Family) -> None:
        """They would keep the port that its successor needs."""
        family.start("web=parent")
        eventually(family.is_up, "up")
        heir = int((family.directory / "web.heir").read_text())
        os.kill(family.pid("web"), signal.SIGKILL)
        eventually(lambda: is_gone(heir), "the end of the heir")


class TestEnd:
    def test_stores_end_last(self, family: Family) -> None:
        family.start("store=good", "web=slow", "worker=good")
        eventually(family.is_up, "up")
        family.signal(signal.SIGTERM)
        status, _ = family.wait()
        assert status == 0
        assert family.events()[-3:] == ["worker stopped", "web stopped", "store stopped"]

    def test_a_second_signal_hurries_all_but_the_stores(self, family: Family) -> None:
        family.start("store=slow", "web=stubborn")
        eventually(family.is_up, "up")
        web = family.pid("web")
        family.signal(signal.SIGINT)
        eventually(lambda: "web was asked to stop" in family.events(), "the first signal")
        assert not is_gone(web)
        family.signal(signal.SIGINT)
        status, _ = family.wait()
        assert status == 0
        assert is_gone(web)
        assert family.events()[-1] == "store stopped"

    def test_a_child_that_cannot_start_ends_all_and_says_why(self, family: Family) -> None:
        status, output = family.start("store=good", "web=fails").wait()
        assert status == 1
        assert "web        | this is why" in output
        assert family.events() == ["store started", "store stopped"]

    def test_closed_standard_streams_change_nothing(self, family: Family) -> None:
        family.start("web=good", preexec_fn=lambda: os.closerange(0, 3))
        eventually(family.is_up, "up")
        family.signal(signal.SIGTERM)
        assert family.wait()[0] == 0


class TestSudden:
    @pytest.mark.skipif(not LINUX, reason="elsewhere the next start ends what was left")
    def test_nothing_outlives_a_killed_supervisor(self, family: Family) -> None:
        family.start("store=good", "web=good")
        eventually(family.is_up, "up")
        children = [family.pid("store"), family.pid("web")]
        family.signal(signal.SIGKILL)
        eventually(lambda: all(map(is_gone, children)), "the end of all children")

    def test_the_next_start_ends_what_was_left(self, family: Family) -> None:
        family.start("web=stubborn")
        eventually(family.is_up, "up")
        stubborn = family.pid("web")
        family.signal(signal.SIGKILL)
        family.wait()
        assert not is_gone(stubborn)
        os.kill(stubborn, signal.SIGSTOP)  # not even SIGTERM's default would end it now
        family.start("web=good")
        eventually(family.is_up, "up again")
        assert is_gone(stubborn)
