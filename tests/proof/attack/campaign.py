"""Attacks a running service as a stranger would: `script/attack [part ...]`. Each part is a module in this folder."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib"), str(ROOT / "tests" / "proof" / "drill")]

import bad_headers  # noqa: E402
import canaries  # noqa: E402
import documents  # noqa: E402
import floods  # noqa: E402
import forgeries  # noqa: E402
import front_ends  # noqa: E402
import google_sign_ins  # noqa: E402
import guesses  # noqa: E402
import second_factors  # noqa: E402
import shut_doors  # noqa: E402
import spellings  # noqa: E402
import steps  # noqa: E402
import timing  # noqa: E402
import webhook_deliveries  # noqa: E402
from instance import Instance, instance  # noqa: E402
from mail_sink import MailSink  # noqa: E402
from report import Report  # noqa: E402

Part = Callable[[Instance, MailSink, Report], None]
PARTS: dict[str, Part] = {
    "guesses": guesses.a_password_from_everywhere,
    "factors": second_factors.a_code_from_everywhere,
    "owner-shut-out": shut_doors.an_owner_shut_out,
    "staff-shut-out": shut_doors.staff_shut_out,
    "mail-flood": shut_doors.a_flood_of_mails,
    "whole-network": shut_doors.a_whole_network,
    "forged-address": shut_doors.a_forged_address,
    "front-end": front_ends.behind_one_server,
    "forgeries": forgeries.access_tokens,
    "steps": steps.taken_by_others,
    "google": google_sign_ins.what_google_never_said,
    "webhook": webhook_deliveries.what_stripe_never_sent,
    "bad-headers": bad_headers.a_thousand_authorizations,
    "spellings": spellings.paths_of_other_listeners,
    "canaries": canaries.secrets_and_erased_people,
    "documents": documents.made_up_requests,
    "crowd": floods.twenty_at_once,
    "account-flood": floods.from_one_account,
    "network-flood": floods.from_one_network,
    "timing": timing.who_has_an_account,
}


def main(chosen: list[str]) -> int:
    unknown = set(chosen) - set(PARTS)
    if unknown:
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}.")
    with MailSink() as sink, instance(mail_port=sink.port, with_google=True) as running:
        reports = [attack(name, running, sink) for name in chosen or PARTS]
    failed = [report.part for report in reports if report.faults]
    print(f"Failed: {', '.join(failed)}" if failed else f"All {len(reports)} passed.")
    return 1 if failed else 0


def attack(name: str, running: Instance, sink: MailSink) -> Report:
    report, started, before = Report(name), time.monotonic(), len(running.crashes())
    try:
        PARTS[name](running, sink, report)
    except (Exception, SystemExit) as error:  # noqa: BLE001  what breaks one part must not end the others
        report.faults.append(f"{type(error).__name__}: {error}")
    report.faults += running.crashes()[before:]
    print(report, flush=True)
    print(f"    {time.monotonic() - started:.0f} s", flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
