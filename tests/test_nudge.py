"""Telling the worker: by a task's name, after the commit, without waiting; a word may be lost, no request is held."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from celery import shared_task
from django.db import transaction

from accounts.kit import nudge
from accounts.kit.nudge import Nudge
from accounts.tests.brokers import UNREAD, away, broker_at, received
from accounts.tests.strangers import silent_port
from config.logging import request_id
from free_ports import free_port

NAME = "tests.note"
ROOT = Path(__file__).resolve().parents[1]
noted: list[str] = []

# What a web process has: Django, and one listener's URLs. Says which nudges name a task that nobody has registered.
OF_A_WEB_PROCESS = """
from config.wsgi import application
from celery import current_app
from django.urls import get_resolver
from accounts.kit import nudge
get_resolver().url_patterns
names = {one.task for one in nudge._all}
print(sorted(names), sorted(names - set(current_app.tasks)))
"""


@shared_task(name=NAME)
def note(text):
    noted.append(text)


@pytest.fixture(autouse=True)
def _nothing_noted():
    noted.clear()


def told(word, *texts):
    for text in texts:
        word.tell(text)
    word._words.join()


def test_every_nudge_finds_its_task_in_a_web_process():
    """Nobody there imports the tasks by chance: a name that is unknown would only be a line in the log."""
    environment = {**os.environ, "LISTENER": "public", "DJANGO_SETTINGS_MODULE": "config.settings.test"}
    command = [sys.executable, "-c", OF_A_WEB_PROCESS]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    names, unknown = found.stdout.splitlines()[-1].split("] [")
    for name in ("accounts.tasks.deliver", "accounts.tasks.send_events", "billing.tasks.work_inbox"):
        assert name in names
    assert unknown == "]"


def test_eager_mode_carries_the_task_out_at_once():
    Nudge(NAME).tell("now")
    assert noted == ["now"]


@pytest.mark.django_db(transaction=True)
def test_after_the_commit_and_not_without_it():
    word = Nudge(NAME)
    with transaction.atomic():
        word.tell_on_commit("kept")
        assert noted == []
    with transaction.atomic():
        word.tell_on_commit("rolled back")
        transaction.set_rollback(True)
    assert noted == ["kept"]


def test_each_word_reaches_the_broker_with_the_requests_id():
    with broker_at(UNREAD) as app:
        token = request_id.set("from-the-request")
        try:
            told(Nudge(NAME, most=10), "a", "b", "c")
        finally:
            request_id.reset(token)
        assert noted == []
        messages = received(app, NAME)
    assert [message.payload[0] for message in messages] == [["a"], ["b"], ["c"]]
    assert {message.headers["request_id"] for message in messages} == {"from-the-request"}


def test_one_word_stands_for_many_that_come_together():
    with broker_at(UNREAD) as app:
        told(Nudge(NAME, gather=0.2), *("many" for _ in range(50)))
        assert 1 <= len(received(app, NAME)) <= 3


def test_a_silent_broker_is_not_waited_for():
    word = Nudge(NAME, most=1000)
    with ExitStack() as until_it_is_over:
        with silent_port() as port:
            until_it_is_over.enter_context(broker_at(away(port), patience=60))
            for _ in range(100):
                word.tell("lost")
            assert word._words.unfinished_tasks == 100  # its thread waits still, and we do not
        word._words.join()
    assert noted == []


def test_what_a_broker_that_is_away_does_not_take_is_forgotten():
    word = Nudge(NAME, most=1000)
    with broker_at(away(free_port())):
        told(word, *("lost" for _ in range(100)))
    told(word, "again")
    assert noted == ["again"]


def test_a_forked_child_has_a_thread_of_its_own():
    with broker_at(UNREAD) as app:
        word = Nudge(NAME, most=10)
        told(word, "parent")
        nudge._after_fork()
        told(word, "child")
        assert [message.payload[0] for message in received(app, NAME)] == [["parent"], ["child"]]


@pytest.mark.django_db(transaction=True)
def test_a_word_that_fails_at_the_commit_is_told_in_the_log_alone(caplog):
    with transaction.atomic():
        Nudge("a.task.that.nobody.has.registered").tell_on_commit(1)
    assert "a.task.that.nobody.has.registered" in caplog.text
