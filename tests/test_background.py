"""Checks what all tasks share: the request's id in their lines, one line for an outage, their time in the metrics."""

import json
import logging
import time
from typing import Any
from uuid import uuid4

import pytest
from celery import beat, current_app, shared_task
from celery.app.trace import build_tracer
from django.conf import settings
from django.db import OperationalError

from accounts.kit import metrics
from accounts.tests.brokers import UNREAD, away, broker_at, received
from billing.errors import BillingUnavailable
from config import background
from config.logging import NotScheduled, request_id
from free_ports import free_port


@shared_task(name="tests.fail")
def fail():
    raise OperationalError("the server closed the connection")


@shared_task(name="tests.succeed")
def succeed():
    return request_id.get()


@shared_task(name="tests.fail_at_stripe")
def fail_at_stripe():
    raise BillingUnavailable


@shared_task(name="tests.break")
def break_down():
    raise ValueError("a fault of ours")


@pytest.fixture(autouse=True)
def _no_outage_yet():
    background.outage.since, background.outage.spoken = None, 0.0
    metrics.recorder.records.clear()


def work(task, **headers):
    """As a worker does it with a message."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    request = {"id": str(uuid4()), "is_eager": False, "delivery_info": {}, **headers}
    registered = app.tasks[task.name]
    return build_tracer(registered.name, registered, app=app)(request["id"], [], {}, request)


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_outage_is_one_line_without_a_traceback_and_then_its_end(capsys, caplog):
    for _ in range(5):
        work(fail)
    work(succeed)
    found = lines(capsys)
    assert [line["event"] for line in found if line["event"].startswith("outage")] == [
        "outage",
        "outage_over",
    ]
    assert found[0]["task"] == "tests.fail"
    assert not any("traceback" in line for line in found)
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("task", [fail, fail_at_stripe])
def test_an_outage_is_no_unexpected_error(task, monkeypatch):
    counted = []
    monkeypatch.setattr(metrics, "count", lambda metric, *labels: counted.append((metric, labels)))
    work(task)
    assert (metrics.UNEXPECTED, ("task",)) not in counted
    work(break_down)
    assert (metrics.UNEXPECTED, ("task",)) in counted


def test_any_other_failure_has_its_traceback(caplog):
    work(break_down)
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_the_requests_id_goes_with_the_message():
    headers: dict[str, str] = {}
    token = request_id.set("from-the-request")
    try:
        background.send_request_id(headers=headers)
    finally:
        request_id.reset(token)
    outcome = work(succeed, **headers)
    assert outcome.retval == "from-the-request"
    assert request_id.get() is None


def test_tasks_are_counted_by_state():
    metrics.recorder.records.clear()
    work(succeed)
    work(break_down)
    found = {labels for metric, labels, _ in metrics.recorder.records if metric is metrics.TASKS}
    assert found == {("tests.succeed", "success"), ("tests.break", "failure")}


class TestGoodFor:
    """Beat's tasks are dropped when the next one is due before they have begun: by the broker's clock, and no other."""

    def test_no_scheduled_task_carries_a_time_of_its_host(self):
        with broker_at(UNREAD) as app:
            app.loader.import_default_modules()  # as beat does
            scheduler = beat.Scheduler(app=app, lazy=True)
            entries: dict[str, Any] = settings.CELERY_BEAT_SCHEDULE
            for name, entry in entries.items():
                scheduler.apply_async(scheduler.Entry(name=name, app=app, **entry), advance=False)
            sent = received(app)
        assert len(sent) == len(settings.CELERY_BEAT_SCHEDULE)
        now = background.broker_time()
        for message in sent:
            assert (message.headers["expires"], message.headers["eta"]) == (None, None)
        good_for = {
            message.headers["task"]: message.headers[background.VOID_AT] - now
            for message in sent
            if background.VOID_AT in message.headers
        }
        wanted = {
            entry["task"]: entry["options"]["good_for"] for entry in entries.values() if "options" in entry
        }
        assert good_for == pytest.approx(wanted, abs=30)
        assert good_for["accounts.tasks.relay_outbox"] <= 5

    @pytest.mark.parametrize("off", [-300, 0, 300])
    def test_a_host_whose_clock_is_off_works_as_the_others(self, monkeypatch, off):
        with broker_at(UNREAD) as app:
            succeed.apply_async(good_for=20)  # type: ignore[call-arg]  # ours: config/background.py
            (message,) = received(app)
        shown = time.time()
        monkeypatch.setattr(time, "time", lambda: shown + off)
        assert work(succeed, void_at=message.headers[background.VOID_AT]).retval is None
        assert counted() == {"success"}

    def test_one_that_has_waited_longer_is_dropped(self):
        work(succeed, void_at=background.broker_time() - 1)
        assert counted() == {"ignored"}

    def test_a_broker_that_is_silent_drops_nothing(self, settings):
        background._broker.cache_clear()
        settings.REDIS_URL = away(free_port())
        try:
            work(succeed, void_at=1)
        finally:
            background._broker.cache_clear()
        assert counted() == {"success"}


def counted():
    records = metrics.recorder.records
    return {
        labels[1] for metric, labels, _ in records if metric is metrics.TASKS and labels[0] == "tests.succeed"
    }


@pytest.mark.parametrize(
    ("task", "level", "told"),
    [
        ("accounts.tasks.relay_outbox", logging.INFO, False),
        ("accounts.tasks.relay_outbox", logging.ERROR, True),
        ("accounts.tasks.deliver", logging.INFO, True),
    ],
)
def test_a_scheduled_task_is_told_of_when_it_fails(task, level, told):
    record = logging.LogRecord("celery.app.trace", level, "", 0, "%(name)s", ({"name": task},), None)
    assert NotScheduled().filter(record) is told
