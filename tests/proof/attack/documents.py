"""Tests both OpenAPI documents against the service, with many more requests than `script/test` has time for."""

import os
import re
import subprocess

from instance import ROOT, Instance, clean_environment
from mail_sink import MailSink
from report import Report

EXAMPLES = os.environ.get("ATTACK_EXAMPLES", "40")


def made_up_requests(_instance: Instance, _sink: MailSink, report: Report) -> None:
    """Run the test on its own servers, where exceptions show as well as answers."""
    done = subprocess.run(
        [str(ROOT / "script" / "test"), "-q", "tests/test_fuzzed_documents.py"],
        env={**clean_environment(), "FUZZ_EXAMPLES": EXAMPLES},
        capture_output=True,
        text=True,
        check=False,
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    report.line(
        f"{passed[1] if passed else 0} operations and callers",
        f"{EXAMPLES} fitting, {EXAMPLES} unfitting each",
    )
    failed = re.findall(r"^FAILED \S+?\[(.+?)\]", done.stdout, re.MULTILINE)
    for name in failed:
        report.require(False, name)
    report.require(done.returncode == 0, f"script/test ended with {done.returncode}")
