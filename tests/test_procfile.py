"""The process table: complete, and runnable as it is."""

import os
import subprocess
from pathlib import Path

import procfile
from serve import LISTENERS

ROOT = Path(__file__).resolve().parent.parent


def test_names_every_process() -> None:
    assert list(procfile.read(ROOT / "Procfile")) == ["release", "web", "internal", "admin", "worker", "beat"]


def test_each_listener_binds_loopback_at_its_own_port_by_default() -> None:
    table = procfile.read(ROOT / "Procfile")
    for name, variable in LISTENERS.items():
        assert f'BIND:-127.0.0.1}}" "${{{variable}:-' in table[name]


def test_variables_are_set_and_expanded() -> None:
    argv = procfile.argv("""GREETING=hello printenv GREETING "${UNSET:-HOME}" """)
    shown = subprocess.run(argv, env={**os.environ, "HOME": "a b"}, capture_output=True, check=True)
    assert shown.stdout == b"hello\na b\n"
