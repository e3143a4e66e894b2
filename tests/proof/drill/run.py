"""Breaks a running service on purpose, under load, and checks the outcome: `script/drill [F1 F2 ...]`."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

import as_shipped  # noqa: E402
import contention  # noqa: E402
import cut_ledger  # noqa: E402
import event_deliveries  # noqa: E402
import failover  # noqa: E402
import full_database  # noqa: E402
import full_disk  # noqa: E402
import killed_database  # noqa: E402
import killed_web  # noqa: E402
import lagging_replica  # noqa: E402
import logins  # noqa: E402
import lost_pooler  # noqa: E402
import lost_primary  # noqa: E402
import lost_valkey  # noqa: E402
import mail_faults  # noqa: E402
import migrations  # noqa: E402
import restarts  # noqa: E402
import restored_backup  # noqa: E402
import rude_clients  # noqa: E402
import several_hosts  # noqa: E402
import slow_clients  # noqa: E402
import storm  # noqa: E402
import stripe_events  # noqa: E402
import stripe_faults  # noqa: E402
import wrong_clock  # noqa: E402
from instance import Instance, instance  # noqa: E402
from mail_sink import MailSink  # noqa: E402
from reckoning import HEADING, Verdict  # noqa: E402

LONGEST = int(os.environ.get("DRILL_SECONDS", "0"))  # for one fault, whatever happens
USUALLY_LONGEST = 420
LONGER = {  # what grows with what is asked for
    "F7": 900,
    "F9": 300 + 10 * stripe_events.ORDERS,
    "F17": 600 + migrations.ROWS // 500,
    "F19": 600 + int(60 * storm.MINUTES),
    "F22": 600,
    "F25": 600,
    "F27": 600 + int(60 * as_shipped.WATCHED),
    "F28": 900,
    "F29": 420 + cut_ledger.ROWS // 2000,
}

Fault = Callable[[Instance, MailSink, Verdict], None]
FAULTS: dict[str, Fault] = {
    "F1": killed_web.web_workers_and_masters,
    "F2": killed_database.postgresql,
    "F3": lost_valkey.valkey,
    "F4": mail_faults.worker_killed,
    "F5": mail_faults.mail_server_away,
    "F6": mail_faults.lost_between_commit_and_queue,
    "F7": stripe_faults.stripe_away,
    "F8": stripe_events.one_event_200_times,
    "F9": stripe_events.any_order,
    "F10": contention.one_balance,
    "F11": contention.everything_at_once,
    "F12": wrong_clock.one_host,
    "F13": full_database.every_connection_taken,
    "F14": full_disk.no_space_left,
    "F15": slow_clients.slow_and_idle,
    "F16": restarts.rolling,
    "F16g": restarts.rolling_granian,
    "F17": migrations.a_million_rows,
    "F18": restored_backup.elsewhere,
    "F19": storm.random_faults,
    "F20": logins.a_hundred_at_once,
    "F21": mail_faults.always_raises,
    "F21e": event_deliveries.worker_killed,
    "F22": lost_primary.standby_promoted,
    "F23": several_hosts.stores_apps_and_jobs,
    "F24": rude_clients.through_the_proxy,
    "F24d": rude_clients.without_one,
    "F25": lost_pooler.killed_and_started,
    "F26": lagging_replica.lags_goes_and_returns,
    "F27": as_shipped.compose_by_hand,
    "F28": failover.under_patroni,
    "F29": cut_ledger.killed_and_resumed,
}


def main(chosen: list[str]) -> int:
    unknown = set(chosen) - set(FAULTS)
    if unknown:
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with MailSink() as sink, instance(mail_port=sink.port) as running:
        print(HEADING, flush=True)
        verdicts = [drill(name, FAULTS[name], running, sink) for name in chosen or FAULTS]
    failed = [verdict.fault for verdict in verdicts if verdict.failures]
    print(f"Failed: {', '.join(failed)}" if failed else f"All {len(verdicts)} passed.")
    return 1 if failed else 0


def drill(name: str, fault: Fault, running: Instance, sink: MailSink) -> Verdict:
    """Run one fault, ending it by force when it takes too long."""
    verdict = Verdict(name)
    started, before = time.monotonic(), len(running.crashes())
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(LONGEST or LONGER.get(name, USUALLY_LONGEST))
    try:
        fault(running, sink, verdict)
    except (Exception, SystemExit) as error:  # noqa: BLE001  what breaks the drill of one fault must not end the others
        verdict.failures.append(f"{type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
        sink.behave()
    verdict.failures += running.crashes()[before:]
    print(verdict, flush=True)
    for line in [*verdict.failures, *verdict.notes, f"{time.monotonic() - started:.0f} s"]:
        print(f"     {line}", flush=True)
    return verdict


def _give_up(_number: int, _frame: object) -> None:
    raise TimeoutError("not done in its time (DRILL_SECONDS)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
