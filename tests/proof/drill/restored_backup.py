"""F18: a backup made under load is restored elsewhere; what has ended since then stays ended."""

import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from calls import Answer, Caller
from instance import Instance, Person
from mail_sink import MailSink
from people import bearer, caller, login
from postgres import OWNER, SUPERUSER, Postgres
from reckoning import Verdict, reckon
from restarts import Listener
from traffic import Operation, Traffic, use

COPY = "restored"
KEY_SCOPES = "credits:read,users:read"


@dataclass
class Ended:
    """Things that were live when the backup was made, and have ended since then."""

    session: dict[str, str]  # the header of someone who has signed out
    key: str
    erased: Person
    password: Person


def elsewhere(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Run pg_dump beside 40 spends a second; then sign out, revoke a key, erase, set a password; restore, and serve."""
    people, traffic = instance.people(14), Traffic(instance)
    spenders, others = people[:10], people[10:]
    traffic.give(spenders, 10_000)
    Traffic(instance).give(others, 10_000)  # by itself: who is erased forfeits them, and they would be missed
    ended = _begin(instance, others)
    with traffic.running(lambda: use(random.choice(spenders).id), clients=8, per_second=40):
        time.sleep(3)
        begun = time.monotonic()
        backup = _dump(instance)
        verdict.notes.append(f"the backup took {time.monotonic() - begun:.1f} s")
        time.sleep(2)
    _end(instance, ended)
    tombstones = instance.directory / "tombstones.jsonl"
    _must(instance, "tombstones", str(tombstones))
    _restore(instance, backup)
    restored = {"DATABASE_URL": Postgres(instance.directory).url(database=COPY)}
    verdict.notes.append(_must(instance, "after_restore", str(tombstones), **restored).splitlines()[0])
    status, said = instance.manage("verify_ledger", **restored)
    verdict.require(status == 0, f"verify_ledger of the copy: {said[-300:]}")
    _compare(instance, traffic, begun, verdict)
    _try(instance, ended, verdict)
    reckon(verdict, traffic)


def _begin(instance: Instance, people: list[Person]) -> Ended:
    signed_out, erased, changed, _ = people
    session = bearer(login(instance, signed_out))
    made = _must(instance, "service_key", "create", "drillshop", "--scopes", KEY_SCOPES, "--json")
    return Ended(session, made.partition('"key": "')[2].partition('"')[0], erased, changed)


def _end(instance: Instance, ended: Ended) -> None:
    _expect(204, caller(instance).post("/v1/auth/logout", headers=ended.session))
    _must(instance, "service_key", "revoke", ended.key.split("_")[2])
    body = {"current_password": ended.password.password, "new_password": f"{ended.password.password}-new"}
    session = bearer(login(instance, ended.password))
    _expect(204, caller(instance).post("/v1/auth/change-password", body, session))
    session = bearer(login(instance, ended.erased))
    _expect(202, caller(instance).send("DELETE", "/v1/auth/me", None, session))
    with instance.database() as superuser:
        superuser.execute("UPDATE accounts_user SET deletes_at = now() WHERE id = %s", (ended.erased.id,))
    _must(instance, "shell", "-v0", "-c", "from accounts.identity import erasure; erasure.erase_due()")


def _expect(status: int, answer: Answer) -> None:
    if answer.status != status:
        raise SystemExit(f"The drill could not be prepared: {answer.status} {answer.code} {answer.error}")


def _must(instance: Instance, *arguments: str, **environment: str) -> str:
    status, said = instance.manage(*arguments, **environment)
    if status:
        raise SystemExit(f"manage.py {' '.join(arguments)} failed:\n{said[-2000:]}")
    return said


def _dump(instance: Instance) -> Path:
    postgres = Postgres(instance.directory)
    file = instance.directory / "backup.dump"
    _program(postgres, "pg_dump", "--format=custom", f"--file={file}", postgres.url(OWNER))
    return file


def _restore(instance: Instance, backup: Path) -> None:
    postgres = Postgres(instance.directory)
    with instance.database(SUPERUSER) as superuser:
        superuser.execute(f"CREATE DATABASE {COPY} OWNER {OWNER}")
    _program(postgres, "pg_restore", f"--dbname={postgres.url(OWNER, COPY)}", "--exit-on-error", str(backup))


def _program(postgres: Postgres, name: str, *arguments: str) -> None:
    command = [str(postgres.programs / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")


def _compare(instance: Instance, traffic: Traffic, begun: float, verdict: Verdict) -> None:
    """Check that everything acknowledged before the backup started is in it, once."""
    with psycopg.connect(Postgres(instance.directory).url(SUPERUSER, COPY)) as copy:
        kept = {key for (key,) in copy.execute("SELECT key FROM credits_credittransaction").fetchall()}
    before = [one for one in traffic.operations if _acknowledged(one, begun)]
    lost = [one.key for one in before if one.key not in kept]
    verdict.require(
        not lost, f"{len(lost)} of {len(before)} operations acknowledged before the backup are not in it"
    )


def _acknowledged(operation: Operation, moment: float) -> bool:
    return operation.done is not None and operation.done.finished < moment


def _try(instance: Instance, ended: Ended, verdict: Verdict) -> None:
    public, internal = (Listener(instance, name=name, database=COPY) for name in ("public", "internal"))
    try:
        for listener in (public, internal):
            instance.await_(listener.live, "a listener of the copy did not start", within=60)
        device, service = Caller(public.port), Caller(internal.port, {"X-API-Key": ended.key})
        signed_out = device.get("/v1/auth/me", ended.session)
        verdict.require(signed_out.code == "session_revoked", f"the ended session: {signed_out.status}")
        used = service.get(f"/v1/users/{ended.password.id}")
        verdict.require(used.status == 401, f"the revoked key: {used.status}")
        old = {"email": ended.password.email, "password": ended.password.password}
        replaced = device.post("/v1/auth/login", old)
        verdict.require(replaced.status == 401, f"the replaced password: {replaced.status}")
        gone = device.get(f"/v1/auth/users/{ended.erased.id}")
        verdict.require(gone.status == 404, f"the erased user: {gone.status}")
    finally:
        public.end()
        internal.end()
