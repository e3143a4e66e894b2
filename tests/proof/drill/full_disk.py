"""F14: the disk with the database's files is full; the write-ahead log is on another disk."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from instance import Instance
from mail_sink import MailSink
from people import Watch, bearer, caller, login
from postgres import DATABASE, SUPERUSER, Postgres
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, add, use

FULL = 25.0  # seconds
ROOM = 256  # MiB, where there is some
DISK = "small_disk"  # the tablespace


def no_space_left(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Move the database to a file system in memory, which is shrunk to what is in use, under 60 writes a second."""
    if os.geteuid() != 0:
        verdict.notes.append("skipped: mounting a small file system needs root")
        return
    people, traffic = instance.people(10), Traffic(instance)
    traffic.give(people, 10_000)
    watch, device, services = Watch(), caller(instance), traffic.caller()
    session = bearer(login(instance, people[0]))

    def spend_or_add() -> Operation:
        return random.choice((use, add))(random.choice(people).id)

    with _small_disk(instance) as directory:
        instance.await_(lambda: instance.answers("internal", "/readyz"), "it does not serve", within=30)
        watch.every(0.1, "balance", lambda: services.get(f"/v1/credits/balance?user_id={people[0].id}"))
        watch.every(0.2, "status", lambda: device.get("/v1/auth/me/status", session))
        with traffic.running(spend_or_add, clients=8, per_second=60):
            time.sleep(3)
            _resize(directory, f"{_used(directory)}k")
            full = time.monotonic()
            time.sleep(FULL)
            _resize(directory, f"{ROOM}m")
            free = time.monotonic()
            verdict.recovered(traffic.recovery(free, within=20), within=10, what="recovery")
            time.sleep(3)
        watch.stop()
        _judge(traffic, watch, full, free, verdict)
        reckon(verdict, traffic)


def _judge(traffic: Traffic, watch: Watch, full: float, free: float, verdict: Verdict) -> None:
    """Check the calls: writes that need space get a 503, those that fit into existing pages may succeed, reads are
    answered.
    """
    answers = [a for o in traffic.operations for a in o.answers if full + 1 < a.started < free - 1]
    refused = [answer for answer in answers if answer.status == 503]
    late = [a for o in traffic.operations for a in o.answers if a.started > free + 10 and not a.done]
    verdict.require(bool(refused), "nothing was refused: there was room left")
    verdict.require(
        all(a.done or a.status == 503 for a in answers), "writes were answered neither 2xx nor 503"
    )
    verdict.require(not late, f"{len(late)} writes failed 10 s after there was room")
    verdict.notes.append(f"meanwhile {len(refused)} of {len(answers)} writes were 503")
    for kind in ("balance", "status"):
        failed, made = watch.failed(kind, (full, free))
        verdict.require(made > 0 and not failed, f"{failed} of {made} reads ({kind}) failed")
        verdict.notes.append(f"{kind}: {made - failed} of {made} reads were 200")


@contextmanager
def _small_disk(instance: Instance) -> Iterator[Path]:
    postgres, directory = Postgres(instance.directory), instance.directory / "small-disk"
    directory.mkdir()
    owner = f"uid={postgres.account.uid},gid={postgres.account.gid}," if postgres.account else ""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"{owner}mode=0700,size={ROOM}m", "drill", str(directory)], check=True
    )
    try:
        with _beside(postgres) as superuser:
            superuser.execute(f"CREATE TABLESPACE {DISK} LOCATION '{directory}'")
            _move(superuser, DISK)
            try:
                yield directory
            finally:
                _resize(directory, f"{ROOM}m")
                _move(superuser, "pg_default")
                superuser.execute(f"DROP TABLESPACE {DISK}")
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@contextmanager
def _beside(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to a database other than the one that moves."""
    with psycopg.connect(postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        yield connection


def _move(superuser: psycopg.Connection[Any], tablespace: str) -> None:
    """Move the database, with all connections to it closed."""
    superuser.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false")
    try:
        superuser.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [DATABASE]
        )
        superuser.execute(f"ALTER DATABASE {DATABASE} SET TABLESPACE {tablespace}")
    finally:
        superuser.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")


def _used(directory: Path) -> int:
    """Return the used space, in KiB."""
    disk = os.statvfs(directory)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024


def _resize(directory: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(directory)], check=True)
