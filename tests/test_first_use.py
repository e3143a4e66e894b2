"""Four threads that meet a shape for the first time at the same moment: msgspec alone crashes the process then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "tests" / "first_use.py"


def ends_of(listener: str, *how: str) -> list[str]:
    """How the processes ended that raced: `0`, or the name of a signal."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *how],
        cwd=ROOT,
        env={**os.environ, "LISTENER": listener, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("listener", "server"),
    [("public", "forked"), ("internal", "forked"), ("admin", "forked"), ("internal", "alone")],
)
def test_no_worker_dies_of_it(listener, server):
    """`forked` as by gunicorn, whose master imports the application; `alone` as by granian, where each worker does."""
    ends = ends_of(listener, server)
    assert len(ends) >= 2
    assert set(ends) == {"0"}


def test_nor_of_a_shape_that_nobody_knew_of():
    assert set(ends_of("internal", "late")) == {"0"}


def test_the_race_is_real_with_this_msgspec():
    """If this fails, msgspec is mended: what accounts/kit/shapes.py and config/first_use.py do for it can go."""
    assert signal.SIGSEGV.name in ends_of("internal", "bare")
