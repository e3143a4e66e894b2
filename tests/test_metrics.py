"""/metrics: right over several processes and their ends, cheap, and with every name that dashboard and alerts use."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from celery import signals
from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.http import HttpRequest
from prometheus_client.multiprocess import MultiProcessCollector

import procfile
from accounts.kit import metrics
from accounts.models import EventDelivery, EventSubscription, OutboxMessage, ServiceEvent
from config import background, errors, metrics_port
from config import metrics as page
from credits import tasks
from free_ports import free_port
from tests.effort import effort
from tests.fixtures import PASSWORD
from tests.served import ask, served
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent
DASHBOARD, ALERTS = ROOT / "deploy/grafana/dashboard.json", ROOT / "deploy/prometheus/alerts.yml"
WORDS = set(
    re.findall(
        r"\w+", "by sum rate max min min_over_time increase topk histogram_quantile and or up time vector"
    )
)

SCRAPE = b"GET /metrics HTTP/1.0\r\n\r\n"
PROMTOOL = shutil.which("promtool") or ""

pytestmark = pytest.mark.django_db


def scrape(internal):
    answer = internal.get("/metrics")
    assert answer.status_code == 200
    return answer.content.decode()


def value(text, name, **labels):
    """The sum of the samples with this name and at least these labels."""
    found = 0.0
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if match and match[1] == name:
            given = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            found += float(match[3]) if labels.items() <= given.items() else 0.0
    return found


class TestCounting:
    def test_requests_by_route_template_tier_and_status(self, public, internal, verified_user):
        route = {"route": "/v1/auth/users/<id:user_id>", "tier": "public", "listener": settings.LISTENER}
        before = scrape(internal)
        public.get(f"/v1/auth/users/{verified_user.pk}")
        after = scrape(internal)
        grown = value(after, "auth_http_request_duration_seconds_count", **route) - value(
            before, "auth_http_request_duration_seconds_count", **route
        )
        assert grown == 1
        assert str(verified_user.pk) not in after

    def test_sign_ins_refusals_and_limits(self, public, internal, verified_user):
        before = scrape(internal)
        for password in (*["wrong horse battery staple"] * 6, PASSWORD):
            public.post("/v1/auth/login", {"email": verified_user.email, "password": password})
        after = scrape(internal)

        def grown(name, **labels):
            return value(after, name, **labels) - value(before, name, **labels)

        login = {"route": "/v1/auth/login"}
        assert grown("auth_http_problems_total", code="invalid_credentials", **login) == 5
        assert grown("auth_http_problems_total", code="rate_limited", **login) == 2
        assert grown("auth_throttled_total", limit="login_failures") == 2
        assert grown("auth_tokens_issued_total", by="sign_in") == 0
        assert grown("auth_logins_total", way="password", result="invalid_credentials") == 5
        assert grown("auth_logins_total", way="password", result="rate_limited") == 2
        assert grown("auth_logins_total", result="ok") == 0

    def test_what_raises_an_alert_is_there_before_it_happens(self, internal):
        """Or its first time would be where the series begins, which is not an increase."""
        text = scrape(internal)
        for series in (
            'auth_unexpected_errors_total{of="request"}',
            'auth_database_errors_total{sqlstate="53100"}',
            'auth_logins_total{result="ok",way="password"}',
        ):
            assert re.search(rf"^{re.escape(series)} ", text, re.MULTILINE)

    def test_the_ledger_by_path(self, internal, service_key, verified_user):
        client = internal.with_key(service_key())
        before = scrape(internal)

        def call(verb, amount, key):
            body = {"user_id": str(verified_user.pk), "amount": amount}
            return client.post(f"/v1/credits/{verb}", body, headers={"Idempotency-Key": key})

        call("add", 10, "a")
        call("use", 1, "b")
        call("use", 1, "b")
        call("use", 100, "c")
        after = scrape(internal)

        def grown(**labels):
            return value(after, "auth_ledger_operations_total", **labels) - value(
                before, "auth_ledger_operations_total", **labels
            )

        assert grown(type="bonus", path="locked", result="ok") == 1
        assert grown(type="use", path="fast", result="ok") == 1
        assert grown(type="use", path="locked", result="replayed") == 1
        assert grown(type="use", path="fast", result="insufficient_credits") == 1

    def test_queues_and_stores(self, internal):
        receiver = EventSubscription.objects.create(name="shop", url="https://shop.test/", enabled=False)
        event = ServiceEvent.objects.create(type="a.b", user_id=receiver.pk, position=1)
        EventDelivery.objects.create(subscription=receiver, event=event, position=1, user_id=receiver.pk)
        OutboxMessage.objects.create(kind="verify_email")
        text = scrape(internal)
        assert (
            value(text, "auth_queue_waiting", queue="mails")
            == value(text, "auth_queue_waiting", queue="events")
            == 1
        )
        assert value(text, "auth_queue_waiting", queue="inbox") == 0
        assert value(text, "auth_database_up") == value(text, "auth_redis_up") == 1
        assert 0 < value(text, "auth_database_connections") < value(text, "auth_database_connections_max")
        assert 'auth_celery_queue_tasks{state="waiting"}' in text

    def test_whether_the_ledger_adds_up(self, internal):
        started = time.time()
        tasks.verify_ledger_nightly()
        text = scrape(internal)
        verified = value(text, "auth_ledger_verified_timestamp_seconds", result="right")
        assert started - 1 < verified < time.time() + 1
        assert value(text, "auth_ledger_verified_timestamp_seconds", result="wrong") == 0

    def test_errors_of_the_database_and_those_that_nobody_foresaw(self, internal):
        before = scrape(internal)
        with (
            pytest.raises(DatabaseError, match="division by zero") as caught,
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT 1/0")
        errors.respond(caught.value, HttpRequest())
        after = scrape(internal)
        for name, labels in (
            ("auth_database_errors_total", {"sqlstate": "22012"}),
            ("auth_unexpected_errors_total", {"of": "request"}),
        ):
            assert value(after, name, **labels) - value(before, name, **labels) == 1

    def test_what_the_scheduler_sends_and_nobody_else(self, internal):
        signals.after_task_publish.send(sender="a.web.process")
        signals.beat_init.send(sender=None)
        started = time.time()
        try:
            signals.after_task_publish.send(sender="of.the.schedule")
        finally:
            signals.after_task_publish.disconnect(background.note_sent)
        text = scrape(internal)
        name = "auth_celery_beat_last_sent_timestamp_seconds"
        assert 'task="a.web.process"' not in text
        assert started - 1 < value(text, name, task="of.the.schedule") < time.time() + 1

    def test_a_database_that_is_away_costs_its_own_lines_only(self, internal, monkeypatch):
        class Away:
            def cursor(self):
                raise OperationalError

        monkeypatch.setattr(page, "connection", Away())
        text = scrape(internal)
        assert value(text, "auth_database_up") == 0
        assert "auth_http_request_duration_seconds" in text


PROGRAM = """
import os, sys, time
import django; django.setup()
from django.conf import settings
settings.METRICS_DIR = sys.argv[1]
from accounts.kit import metrics
child = os.fork()
for _ in range(1000):
    metrics.count(metrics.TOKENS, "test")
    metrics.observe(metrics.TASKS, "a", "b", seconds=0.3)
    metrics.note(metrics.BEAT, "a")
if not child:
    metrics.recorder.write()
    os._exit(0)
os.waitpid(child, 0)
while metrics.recorder.records:
    time.sleep(0.1)
with metrics.recorder._writing:  # what the thread has written outlives a kill
    os.kill(os.getpid(), 9)
"""


class TestProcesses:
    def test_forks_kills_and_successors_add_up_in_few_files(self, tmp_path, settings):
        started = time.time()
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(tmp_path)], env=os.environ, cwd=ROOT, check=False
            )
            assert done.returncode == -9
        settings.METRICS_DIR = tmp_path
        found = {metric.name: metric for metric in MultiProcessCollector.merge(metrics.files())}
        assert [sample.value for sample in found["auth_tokens_issued"].samples] == [4000]
        buckets = {s.labels.get("le"): s.value for s in found["auth_celery_task_duration_seconds"].samples}
        assert (buckets["0.25"], buckets["0.5"], buckets["+Inf"]) == (0, 4000, 4000)
        (latest,) = found["auth_celery_beat_last_sent_timestamp_seconds"].samples
        assert started - 1 < latest.value < time.time() + 1
        assert len(list(tmp_path.rglob("*.lock"))) <= 2

    def test_a_number_that_belongs_to_another_user_is_passed_over(self, tmp_path, settings, monkeypatch):
        """Such as that of a command that root has run."""
        settings.METRICS_DIR = tmp_path
        (tmp_path / metrics.COMMAND).mkdir()
        (tmp_path / metrics.COMMAND / "0.lock").touch()
        monkeypatch.setattr(os, "access", lambda path, mode: path.name != "0.lock")
        slot = metrics.Slot()
        slot.take()
        assert slot.number == "1"
        slot.forget()

    def test_counting_costs_little_of_the_cheapest_request(self, public):
        metrics.recorder.write()

        def count():
            for _ in range(2000):
                metrics.observe(
                    metrics.REQUESTS, "internal", "POST", "/v1/x", "internal", "201", seconds=0.004
                )
            metrics.recorder.write()

        assert effort(count) / 2000 < effort(lambda: public.get("/livez")) / 20


class TestPorts:
    """Containers share no files, so each kind of process has to speak for itself, and for no other."""

    @pytest.mark.parametrize("server", ["gunicorn", "granian"])
    def test_a_listener_tells_what_it_has_counted(self, server, tmp_path):
        base = free_port(of=len(metrics_port.KINDS))
        with served(server, tmp_path, **opened_at(base)) as running:
            eventually(lambda: livez(base) > 0)
            assert "auth_build_info" in told(base)
            assert "auth_database_up" not in told(base)
            with pytest.raises(ConnectionRefusedError):
                ask(base + 1, SCRAPE)
            head = ask(running.port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert head.split(b" ", 2)[1] == b"404"

    def test_it_goes_on_where_a_killed_worker_ended(self, tmp_path):
        base = free_port(of=len(metrics_port.KINDS))
        with served("gunicorn", tmp_path, **opened_at(base)) as running:
            eventually(lambda: livez(base) > 0)
            before = livez(base)
            (worker,) = (
                Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
            )
            os.kill(int(worker), signal.SIGKILL)
            eventually(lambda: told(base) and livez(base) >= before)

    @pytest.mark.parametrize("kind", ["worker", "beat"])
    def test_so_do_those_that_listen_to_nobody(self, kind, tmp_path):
        base = free_port(of=len(metrics_port.KINDS))
        process = subprocess.Popen(
            procfile.argv(procfile.read(ROOT / "Procfile")[kind]),
            cwd=ROOT,
            env={
                **os.environ,
                **opened_at(base),
                "DJANGO_SETTINGS_MODULE": "config.settings.test",
                "REDIS_URL": f"{settings.REDIS_URL.partition('?')[0]}?db=7",  # a queue of their own
                "VAR_DIR": str(tmp_path),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = base + metrics_port.KINDS.index(kind)
            eventually(lambda: "auth_build_info" in told(port))
        finally:
            process.terminate()
            process.wait(30)

    def test_the_internal_one_looks_at_queues_and_stores_and_counts_what_is_its_own(self, tmp_path, settings):
        settings.METRICS_DIR = tmp_path
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path)], env=os.environ, cwd=ROOT, check=False
        )
        assert done.returncode == -9
        text = page.told_by("internal").decode()
        assert value(text, "auth_database_up") == value(text, "auth_redis_up") == 1
        assert value(text, "auth_tokens_issued_total") == 0
        assert value(page.told_by(metrics.COMMAND).decode(), "auth_tokens_issued_total") == 2000

    def test_an_address_that_is_not_ours_costs_the_port_and_not_the_process(self, settings):
        settings.METRICS_BIND, kind = "192.0.2.1", metrics.slot.kind
        try:
            metrics_port.open_for("public")
        finally:
            metrics.slot.kind = kind

    @pytest.mark.parametrize("file", ["prometheus.yml", "compose.yml"])
    def test_prometheus_asks_every_kind_at_its_port(self, file):
        (job,) = yaml.safe_load((ALERTS.parent / file).read_text())["scrape_configs"]
        asked = {
            one["labels"]["process"]: one["targets"][0].rpartition(":")[2] for one in job["static_configs"]
        }
        assert asked == {kind: str(9800 + place) for place, kind in enumerate(metrics_port.KINDS)}

    def test_every_rule_and_plot_names_the_job(self):
        for expression in _expressions():
            for name, labels in re.findall(r"\b(auth_\w+|up)\b(\{[^}]*\})?", expression):
                assert 'job="auth-service"' in labels or 'job="$job"' in labels, (name, expression)


def opened_at(base):
    return {"METRICS_BIND": "127.0.0.1", "METRICS_PORT": str(base)}


def told(port):
    try:
        return ask(port, SCRAPE).decode()
    except OSError:
        return ""


def livez(port):
    return value(told(port), "auth_http_request_duration_seconds_count", route="/livez", listener="public")


class TestNames:
    def test_what_dashboard_and_alerts_ask_for_exists(self, internal):
        text = scrape(internal)
        families = {
            name + suffix
            for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
            for suffix in (("", "_count", "_sum", "_bucket") if kind == "histogram" else ("",))
        }
        asked = {name for expression in _expressions() for name in _metrics_in(expression)}
        assert len(asked) > 12
        assert asked - families == set()

    def test_labels_that_are_asked_for_exist(self):
        known = {label for metric in metrics.ALL for label in metric._labelnames}
        known |= {"le", "queue", "state", "job", "instance"}
        for expression in _expressions():
            asked = set(re.findall(r"(\w+)=~?\"", expression))
            asked |= {
                name.strip()
                for names in re.findall(r"by \(([^)]*)\)", expression)
                for name in names.split(",")
            }
            assert asked <= known, expression

    def test_each_alert_has_a_section_that_says_what_to_do(self):
        names = [rule["alert"] for rule in _rules()]
        sections = re.findall(r"^## (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
        assert names == sections
        pages = [rule["annotations"]["runbook"] for rule in _rules()]
        assert pages == [f"docs/alerts.md#{name.lower()}" for name in names]

    @pytest.mark.skipif(
        shutil.which("promtool") is None, reason="needs promtool, which comes with Prometheus"
    )
    @pytest.mark.parametrize(
        "arguments",
        [
            ("check", "config", "prometheus.yml"),
            ("check", "config", "compose.yml"),
            ("test", "rules", "alerts_test.yml"),
        ],
    )
    def test_prometheus_understands_them_and_they_fire(self, arguments):
        done = subprocess.run([PROMTOOL, *arguments], cwd=ALERTS.parent, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_it_is_on_the_internal_listener_only(self, public, admin_site):
        assert public.get("/metrics").status_code == admin_site.get("/metrics").status_code == 404


def _expressions():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    yield from (target["expr"] for panel in panels for target in panel["targets"])
    yield from (rule["expr"] for rule in _rules())


def _rules():
    """As Prometheus reads them: a file that is not YAML stops it at its start."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


def _metrics_in(expression):
    bare = re.sub(r"\{[^}]*\}|by \([^)]*\)|\[\w+\]|offset \w+", "", expression)
    return set(re.findall(r"\b[a-z][a-z_]+\b", bare)) - WORDS
