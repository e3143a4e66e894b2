"""A small family under the real supervisor, for test_supervisor.py: `supervised_family.py DIRECTORY name=program ...`.

Each child notes its beginning and its end in `DIRECTORY/events`, and its pid in `DIRECTORY/<name>.pid`.
"""

import sys
from pathlib import Path

from console import Console
from supervise import Child, Stopped, Supervisor

CHILD = """
import os, pathlib, signal, subprocess, sys, time
directory, name, manner = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
def note(what):
    with (directory / "events").open("a") as events:
        events.write(f"{name} {what}\\n")
def stop(number, frame):
    if manner == "slow":
        time.sleep(1.5)
    note("stopped")
    sys.exit(0)
def refuse(number, frame):
    note("was asked to stop")
if manner == "fails":
    print("this is why", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, refuse if manner == "stubborn" else stop)
if manner == "parent":
    heir = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (directory / f"{name}.heir").write_text(str(heir.pid))
note("started")
(directory / f"{name}.pid").write_text(str(os.getpid()))
while True:
    time.sleep(0.05)
"""


def child(directory: Path, name: str, manner: str) -> Child:
    return Child(
        name,
        [sys.executable, "-c", CHILD, str(directory), name, manner],
        store=name == "store",
        grace=300.0 if manner == "stubborn" else 30.0,
        ready=(directory / f"{name}.pid").exists,
        ready_within=60.0,
    )


def main(directory: Path, members: list[str]) -> int:
    supervisor = Supervisor(state=directory / "children.json", console=Console())
    try:
        supervisor.end_leftovers(patience=1.0)
        for member in members:
            supervisor.start(child(directory, *member.split("=")))
        (directory / "up").touch()
        supervisor.watch()
    except Stopped:
        pass
    supervisor.shutdown()
    return supervisor.exit_status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
