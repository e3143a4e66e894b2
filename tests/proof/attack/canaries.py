"""Lets a person whose every secret is unique use the whole product, then looks for the secrets where none may be.

During their life: in the log of all processes, in every command sent to Redis (so in every Celery message too), and in
the answers to refused calls. After the account is erased: in a dump of the whole database, for personal data.
"""

import base64
import binascii
import contextlib
import json
import random
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import redis

import canary_steps
from calls import Answer, Caller
from crowd import tokens_of
from instance import Instance
from mail_sink import MailSink
from postgres import SUPERUSER, Postgres
from report import Report
from tests.authenticators import SoftPasskey
from valkey import Valkey

PATIENCE = 60.0
FAKES = ("google", "stripe")  # which are no part of the product, and log what they are asked
# What the database is there to know until the account is erased.
KNOWN_IN = {"database": {"address", "passkey credential", "passkey attestation", "passkey client data"}}
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")


@dataclass
class Canary:
    """Data that must not be found. `secrets` grows as tokens are issued; `personal` must not outlive the account."""

    tag: str = field(default_factory=lambda: secrets.token_hex(6))
    secrets: dict[str, str] = field(default_factory=dict)
    personal: dict[str, str] = field(default_factory=dict)

    origin: str = ""  # of the page on which the passkey is used
    passkey: SoftPasskey = field(default_factory=SoftPasskey)

    def __post_init__(self) -> None:
        self.email = f"canary-{self.tag}@attack.example"
        self.password, self.next_password = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
        self.name, self.description = f"Canary{self.tag} Birdsong", f"descanary{self.tag} seeds"
        self.ip = f"198.18.{random.randrange(100, 256)}.{random.randrange(100, 256)}"
        self.secrets |= {"password": self.password, "new password": self.next_password, "address": self.email}
        self.personal |= {
            "address": self.email,
            "name": self.name,
            "IP": self.ip,
            "description": self.description,
        }

    def note(self, tokens: dict[str, str]) -> dict[str, str]:
        for name in ("access_token", "refresh_token"):
            self.secrets[f"{name} {len(self.secrets)}"] = tokens[name]
        return tokens


def secrets_and_erased_people(instance: Instance, sink: MailSink, report: Report) -> None:
    canary = Canary(origin=f"http://localhost:{instance.ports['web']}")
    canary.secrets |= canary_steps.of_the_instance(instance)
    with commands_of(instance) as commands:
        refusals = live(instance, sink, canary)
        time.sleep(3)
    places = {
        "log": log_of(instance),
        "Redis": with_decoded("\n".join(commands)),
        "refusals": "\n".join(refusals),
        "database": dump(instance),
    }
    for place, text in places.items():
        sought = {
            name: secret for name, secret in canary.secrets.items() if name not in KNOWN_IN.get(place, ())
        }
        found = [name for name, secret in sought.items() if secret in text]
        report.line(place, f"{len(text):,} characters", f"{len(sought)} secrets", f"{len(found)} found")
        report.require(len(text) > 500, f"nothing was recorded of the {place}")
        report.require(not found, f"in the {place}: {', '.join(found)}")
    erase(instance, canary)
    look_after_erasure(instance, canary, report)


def log_of(instance: Instance) -> str:
    """Return the log lines of our own processes."""
    lines = instance.log_path.read_text(errors="replace").splitlines()
    return "\n".join(line for line in lines if line.split(maxsplit=1)[:1] not in [[name] for name in FAKES])


# ---------------------------------------------------------------- the life


def live(instance: Instance, sink: MailSink, canary: Canary) -> list[str]:
    """Register, sign in, spend, change, make every mistake, and close the account. Return the bodies of refusals."""
    device = Caller(instance.ports["web"], {"User-Agent": "Firefox Windows"}, address=canary.ip)
    service = Caller(instance.ports["internal"], {"X-API-Key": instance.api_key}, address=canary.ip)
    body = {"email": canary.email, "password": canary.password, "display_name": canary.name}
    done(device.post("/v1/auth/register", body))
    link = link_of(instance, sink, canary)
    done(device.post("/v1/auth/verify-email", {"token": link}))
    tokens = sign_in(device, canary, canary.password)
    me = device.get("/v1/auth/me", bearer(tokens)).body["id"]
    spend(service, me, canary)
    refused = [
        *canary_steps.enrol(device, canary, bearer(tokens)),
        *canary_steps.google(instance, canary, bearer(tokens)),
        *canary_steps.stripe(service, device, canary, me),
        *err(device, service, canary, tokens, link),
    ]
    refusals = [
        *bodies(refused),
        *canary_steps.pages(instance, canary, link),
        *canary_steps.staff(instance, canary),
    ]
    change = {"current_password": canary.password, "new_password": canary.next_password}
    done(device.post("/v1/auth/change-password", change, bearer(tokens)))
    done(device.post("/v1/auth/password-reset-request", {"email": canary.email}))
    tokens = canary.note(
        tokens_of(device.post("/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}).body)
    )
    done(device.get("/v1/auth/me/export", bearer(tokens)))
    done(device.send("DELETE", "/v1/auth/me", None, bearer(tokens)))
    return refusals


def link_of(instance: Instance, sink: MailSink, canary: Canary) -> str:
    instance.await_(lambda: sink.newest(canary.email) is not None, "no mail came", within=PATIENCE)
    mail = sink.newest(canary.email)
    text = mail.text if mail else ""
    found = re.search(r"verify-email\?token=([\w-]+)", text)
    code = re.search(r"^ {4}([A-Z]{4}-[A-Z]{4})\s*$", text, re.MULTILINE)
    if found is None or code is None:
        raise SystemExit(f"The mail has no link and code:\n{text}")
    canary.secrets |= {"mailed link": found[1], "mailed code": code[1]}
    return found[1]


def sign_in(device: Caller, canary: Canary, password: str) -> dict[str, str]:
    answer = device.post("/v1/auth/login", {"email": canary.email, "password": password})
    return canary.note(tokens_of(answer.body))


def spend(service: Caller, user_id: str, canary: Canary) -> None:
    about = {"description": canary.description, "reference": f"ref {canary.description}"}
    about_all = {**about, "metadata": {"who": canary.name, "mail": canary.email}}
    for path, amount in (("add", 50), ("use", 20)):
        body = {"user_id": user_id, "amount": amount, **about_all}
        done(service.post(f"/v1/credits/{path}", body, {"Idempotency-Key": secrets.token_hex(8)}))


def err(device: Caller, service: Caller, canary: Canary, tokens: dict[str, str], link: str) -> list[Answer]:
    """Put secrets where they do not belong: answers must not repeat them, and nothing may log them."""
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    return [
        device.get(f"/v1/auth/{canary.email}/{access}"),
        device.get(f"/v1/auth/me?token={access}&password={canary.password}"),
        device.get("/v1/auth/me", {"Authorization": f"Bearer {refresh}"}),
        device.get("/v1/auth/me", {"Authorization": f"Basic {access}"}),
        device.get("/v1/auth/me", {"Authorization": f"Bearer {access}x", "Cookie": f"session={access}"}),
        device.post("/v1/auth/verify-email", {"token": link}),
        device.post("/v1/auth/login", {"email": canary.email, "password": canary.next_password}),
        device.post("/v1/auth/login", {"email": canary.email, "password": [canary.password]}),
        device.post("/v1/auth/login", {"email": canary.email, "secret": canary.password}),
        device.post("/v1/auth/register", {"email": canary.email, "password": canary.email}),
        device.post("/v1/auth/refresh", {"refresh_token": access}),
        device.post(
            f"/v1/auth/password-reset?token={link}", {"token": link, "new_password": canary.password}
        ),
        device.send("PUT", f"/v1/auth/login?password={canary.tag}", {"password": canary.password}),
        service.get(f"/v1/users/by-email/{canary.email}x"),
        service.get("/v1/credits/balance?user_id=1", {"X-API-Key": access}),
    ]


def bodies(answers: list[Answer]) -> list[str]:
    return [json.dumps(answer.body) for answer in answers if answer.status is None or answer.status >= 400]


def done(answer: Answer) -> None:
    if not answer.done:
        raise SystemExit(f"A step of the canary's life was answered {answer.status} {answer.code}")


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


# ---------------------------------------------------------------- where they are looked for


@contextlib.contextmanager
def commands_of(instance: Instance) -> Iterator[list[str]]:
    """Yield every command that is sent to Redis during the block."""
    client: Any = redis.Redis.from_url(Valkey(instance.directory).url)
    seen: list[str] = []
    with client.monitor() as monitor:
        listener = threading.Thread(target=_listen, args=(monitor, seen), daemon=True)
        listener.start()
        yield seen
    client.close()


def _listen(monitor: Any, seen: list[str]) -> None:
    with contextlib.suppress(redis.RedisError, OSError, ValueError, AttributeError):
        seen.extend(str(command["command"]) for command in monitor.listen())


def with_decoded(text: str) -> str:
    """Return the text, followed by its decoded base64 parts, such as Celery's bodies."""
    parts = [text]
    for encoded in set(_ENCODED.findall(text)):
        with contextlib.suppress(binascii.Error, ValueError):
            padded = encoded + "=" * (-len(encoded) % 4)
            parts.append(base64.b64decode(padded, altchars=b"-_").decode(errors="replace"))
    return "\n".join(parts)


# ---------------------------------------------------------------- after the erasure


def erase(instance: Instance, canary: Canary) -> None:
    """Erase the account, as beat does when the grace period is over."""
    instance.rows(
        "UPDATE accounts_user SET deletes_at = now() - interval '1 hour' WHERE email = %s RETURNING id",
        canary.email,
    )
    task = "from accounts.tasks import erase_closed_accounts; erase_closed_accounts()"
    status, said = instance.manage("shell", "-v0", "-c", task)
    if status:
        raise SystemExit(f"The erasure failed:\n{said}")


def look_after_erasure(instance: Instance, canary: Canary, report: Report) -> None:
    text = dump(instance)
    hits = {name: text.count(value) for name, value in canary.personal.items()}
    report.line(
        "dump after erasure", f"{len(text):,} characters", *(f"{name}: {n}" for name, n in hits.items())
    )
    report.require("accounts_user" in text, "the dump holds no users")
    report.require(not any(hits.values()), f"left in the database: {[name for name, n in hits.items() if n]}")
    stored = [name for name, secret in canary.secrets.items() if secret in text]
    report.require(not stored, f"in the database: {', '.join(stored)}")
    status, said = instance.manage("verify_ledger")
    report.line("verify_ledger", said.strip().splitlines()[-1] if said.strip() else "")
    report.require(status == 0, f"the ledger does not verify: {said[-300:]}")


def dump(instance: Instance) -> str:
    postgres = Postgres(instance.directory)
    done = subprocess.run(
        [postgres.programs / "pg_dump", "--inserts", postgres.url(SUPERUSER)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"pg_dump failed: {done.stderr[-500:]}")
    return done.stdout
