"""Work that the machine does one by one, whatever processes ask for it. Two `Turns` on one file are two processes."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from accounts.kit.problems import ServiceUnavailable
from accounts.kit.turns import Turns
from tests.waiting import eventually

HOLDER = """
import sys, time
from pathlib import Path
from accounts.kit.turns import Turns
turns = Turns(lambda: Path(sys.argv[1]), running=1, waiting=1, patience=1, nice=0)
turns.do(lambda: (print("holds", flush=True), time.sleep(60)), "somebody")
"""


@pytest.fixture
def make(tmp_path):
    """`make()`: one process's way to the turns of this test's machine."""

    def make(*, running=1, waiting=24, patience=8.0, nice=0, name="turns.json"):
        return Turns(lambda: tmp_path / name, running=running, waiting=waiting, patience=patience, nice=nice)

    return make


@pytest.fixture
def held(make):
    """`held("source")`: someone works until the event that it gives is set."""
    begun, end = threading.Event(), threading.Event()

    def work():
        begun.set()
        end.wait()

    with ThreadPoolExecutor(1) as pool:

        def hold(source):
            pool.submit(make().do, work, source)
            assert begun.wait(5)
            return end

        yield hold
        end.set()


def line_up(pool, turns, sources, done):
    """Have them ask one after the other; each notes its name when it is served."""
    asked = []
    for name in sources:
        asked.append(pool.submit(turns.do, lambda name=name: done.append(name), name[0]))
        time.sleep(0.05)
    return asked


class TestBounds:
    def test_one_at_a_time_on_the_machine(self, make):
        ways, working, most = [make(), make()], [], []

        def work():
            working.append(1)
            most.append(len(working))
            time.sleep(0.02)
            working.pop()

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: ways[number % 2].do(work, str(number)), range(16)))
        assert (len(most), max(most)) == (16, 1)

    def test_as_many_as_are_allowed(self, make):
        turns, together = make(running=3), threading.Barrier(3)
        with ThreadPoolExecutor(3) as pool:
            assert len(set(pool.map(lambda one: turns.do(lambda: together.wait(5), str(one)), range(3)))) == 3

    def test_who_finds_no_place_is_refused_at_once_and_told_when_to_come_back(self, make, held):
        turns = make(waiting=2, patience=30)
        end = held("a")
        with ThreadPoolExecutor(2) as pool:
            waiting = line_up(pool, turns, ["b", "c"], [])
            started, retries = time.monotonic(), set()
            for _ in range(40):
                with pytest.raises(ServiceUnavailable) as refusal:
                    make(waiting=2).do(lambda: None, "d")
                with pytest.raises(ServiceUnavailable):
                    make(waiting=2).require_room("d")
                retries.add(refusal.value.retry_after)
            assert time.monotonic() - started < 2
            end.set()
            assert [one.result(5) for one in waiting] == [None, None]
        assert len(retries) > 3
        assert retries <= set(range(1, 9))
        make(waiting=2).require_room("d")

    def test_nobody_waits_longer_than_the_patience(self, make, held):
        held("a")
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            make(patience=0.3).do(lambda: None, "b")
        assert 0.3 <= time.monotonic() - started < 2

    def test_the_work_has_a_lower_priority_and_the_caller_has_not(self, make):
        def priority():
            return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

        before = priority()
        assert make(nice=7).do(priority, "a") == max(before, 7)
        assert priority() == before

    def test_what_the_work_raises_comes_out_and_leaves_the_turn(self, make):
        turns = make(patience=0.5)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                turns.do(lambda: 1 / 0, "a")
        assert turns.do(lambda: "done", "a") == "done"


class TestFairness:
    def test_the_second_turn_of_one_comes_after_the_first_of_everybody_else(self, make, held):
        turns = make()
        done: list[str] = []
        end = held("a")
        with ThreadPoolExecutor(9) as pool:
            asked = line_up(pool, turns, ["a1", "a2", "a3", "a4", "b1", "c1", "b2"], done)
            end.set()
            [one.result(5) for one in asked]
        assert done == ["b1", "c1", "a1", "b2", "a2", "a3", "a4"]

    def test_an_account_shares_as_a_network_does(self, make, held):
        """Eight networks that sign one account in are one of three, not eight of ten."""
        turns = make()
        done: list[str] = []
        end = held("x")
        with ThreadPoolExecutor(10) as pool:
            asked = []
            for number in range(8):
                asked.append(
                    pool.submit(turns.do, lambda: done.append("same"), f"network {number}", "account")
                )
                time.sleep(0.03)
            asked += line_up(pool, turns, ["b", "c"], done)
            end.set()
            [one.result(5) for one in asked]
        assert done[:3] == ["same", "b", "c"]

    def test_one_source_leaves_places_to_others(self, make, held):
        turns = make(waiting=10)
        end = held("x")
        with ThreadPoolExecutor(12) as pool:
            asked = line_up(pool, turns, [f"a{number}" for number in range(8)], [])
            with pytest.raises(ServiceUnavailable):
                turns.do(lambda: None, "a")
            other = pool.submit(turns.do, lambda: "in", "b")
            eventually(other.running, "the other is let in")
            end.set()
            assert other.result(5) == "in"
            [one.result(5) for one in asked]

    def test_twenty_of_one_office_fit(self, make):
        turns = make()
        done: list[int] = []
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda one: turns.do(lambda: done.append(one), "office"), range(20)))
        assert sorted(done) == list(range(20))


class TestFaults:
    def test_a_process_that_was_killed_blocks_nobody(self, make, tmp_path):
        command = [sys.executable, "-c", HOLDER, str(tmp_path / "turns.json")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "holds\n"
            with pytest.raises(ServiceUnavailable):
                make(patience=3).do(lambda: None, "b")  # it lives, longer than silence is borne
            holder.send_signal(signal.SIGKILL)
        started = time.monotonic()
        assert make().do(lambda: "in", "b") == "in"
        assert time.monotonic() - started < 4

    def test_who_keeps_the_lock_for_a_while_costs_time_only(self, make, held, tmp_path):
        end = held("a")
        with ThreadPoolExecutor(1) as pool, (tmp_path / "turns.json").open("rb") as file:
            waiting = pool.submit(make().do, lambda: "in", "b")
            eventually(lambda: len(json.loads(file.seek(0) or file.read())) == 2)
            fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(1.5)
            fcntl.flock(file, fcntl.LOCK_UN)
            end.set()
            assert waiting.result(8) == "in"

    @pytest.mark.parametrize("text", [b"", b"[[", b"\0" * 100, b'[["x",["a"],0,1,1e300,true]]'])
    def test_a_torn_file_is_an_empty_one(self, make, tmp_path, text):
        (tmp_path / "turns.json").write_bytes(text)
        assert make().do(lambda: "in", "a") == "in"

    def test_without_a_file_a_process_bounds_itself(self, make):
        turns = make(patience=0.2, name="missing/turns.json")
        assert turns.do(lambda: "in", "a") == "in"
        begun, end = threading.Event(), threading.Event()

        def work():
            begun.set()
            end.wait()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(turns.do, work, "a")
            assert begun.wait(5)
            with pytest.raises(ServiceUnavailable):
                turns.do(lambda: None, "b")
            end.set()
