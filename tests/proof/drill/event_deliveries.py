"""F21e: Celery's worker is killed while it sends events to a receiver, and the broker loses its tasks."""

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

from instance import RECEIVER, Instance
from lost_valkey import flush
from mail_faults import kill_worker
from mail_sink import MailSink
from reckoning import Verdict

KILLS, FLUSHES = 8, 4
LAST_WITHIN = 60.0  # seconds: a killed sender's lease, and a round of beat's
PATIENCE = 40.0
TYPE = "drill.happened"
USERS = 20

# Events as the service writes them, each in a transaction of its own, until someone ends it.
EMIT = f"""
import random, time, uuid
from django.db import transaction
from accounts import events
users = [uuid.uuid4() for _ in range({USERS})]
for number in range(10**9):
    with transaction.atomic():
        events.emit({TYPE!r}, user_id=random.choice(users), data={{"number": number}})
    time.sleep(0.1)
"""
WRITTEN = (
    "SELECT user_id::text, (data ->> 'number')::int FROM accounts_serviceevent WHERE type = %s ORDER BY id"
)
STATES = """
SELECT count(*), count(delivered_at), count(due_at) FILTER (WHERE delivered_at IS NULL), max(attempts),
    max(last_error), (SELECT max(rests_until) FROM accounts_eventsubscription)
FROM accounts_eventdelivery
"""
GIVEN_UP = "SELECT count(*) FROM accounts_eventdelivery WHERE dead_at IS NOT NULL"


class Receiver(ThreadingHTTPServer):
    """Accepts each event after a moment, and keeps what it received, in order."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.takes = 0.2  # seconds
        self.told: list[tuple[str, int]] = []  # the user, and the event's number
        self.receiving = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore it: senders are killed on purpose here."""


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.receiving.set()
        self.server.told.append((body["user_id"], body["data"].get("number", -1)))
        time.sleep(self.server.takes)
        self.server.receiving.clear()
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def worker_killed(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Kill (-9) Celery's main process or a child while a receiver gets an event, with FLUSHALL in between."""
    receiver, kills = Receiver(instance.ports[RECEIVER]), 0
    address = f"http://127.0.0.1:{instance.ports[RECEIVER]}/events"
    missing: set[tuple[str, int]] = set()
    written: list[tuple[str, int]] = []
    try:
        status, said = instance.manage("event_subscription", "create", "drill", address, "--types", TYPE)
        if status:
            raise SystemExit(f"The subscription could not be made:\n{said[-1000:]}")
        with _events(instance):
            kills = _kill(instance, receiver)
            receiver.takes = 0.0  # what waits is to come in as soon as it is sent
        written = instance.rows(WRITTEN, TYPE)
        missing.update(written)

        def all_told() -> bool:
            missing.difference_update(receiver.told)
            return not missing

        took = instance.await_(all_told, "not every event was told", within=2 * LAST_WITHIN)
        verdict.recovered(took, within=LAST_WITHIN, what="telling the last event")
    except TimeoutError:
        rows, delivered, due, attempts, error, rests = instance.rows(STATES)[0]
        verdict.notes.append(
            f"{len(missing)} of {len(written)} missing after {kills} kills; {rows} deliveries, "
            f"{delivered} done, {due} due, {attempts} tries at most {error}, rests until {rests}"
        )
        raise
    finally:
        instance.manage("event_subscription", "change", "drill", "--disable")
        receiver.shutdown()
        receiver.server_close()
    verdict.require(kills == KILLS, f"only {kills} kills found an event under way")
    _compare(instance, written, receiver.told, verdict)


@contextmanager
def _events(instance: Instance) -> Iterator[None]:
    emitter = instance.command("shell", "-v0", "-c", EMIT)
    try:
        yield
    finally:
        emitter.kill()
        emitter.communicate()


def _kill(instance: Instance, receiver: Receiver) -> int:
    """Kill several times, each once something is being sent again: after a kill, its lease must expire first."""
    kills = 0
    for turn in range(KILLS):
        if not receiver.receiving.wait(PATIENCE):
            break
        time.sleep(random.random() * 0.2)
        kills += kill_worker(instance, main=turn % 2 == 0)
        receiver.receiving.clear()
        if turn % (KILLS // FLUSHES) == 0:
            flush(instance)
    return kills


def _compare(
    instance: Instance, written: list[tuple[str, int]], told: list[tuple[str, int]], verdict: Verdict
) -> None:
    """Check that each event arrived at least once, and repeats before any later event of the same user."""
    missing = set(written) - set(told)
    repeats = len(told) - len(set(told))
    verdict.sent, verdict.acked = len(written), len(written) - len(missing)
    verdict.lost += len(missing)
    verdict.require(not missing, f"{len(missing)} events are lost")
    orders: dict[str, list[int]] = defaultdict(list)
    for user, number in told:
        orders[user].append(number)
    disordered = [user for user, numbers in orders.items() if any(a > b for a, b in pairwise(numbers))]
    verdict.require(
        not disordered, f"{len(disordered)} of {len(orders)} users' events came out of their order"
    )
    verdict.require(repeats <= 4 * KILLS, f"{repeats} were told again: more than were under way")
    verdict.require(instance.rows(GIVEN_UP) == [(0,)], "there are dead letters")
    verdict.notes.append(f"{len(written)} events of {len(orders)} users; {repeats} were told twice")
