"""Checks that what deploy/ brings fits what it deploys."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jsonschema_rs
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

import procfile
from deploy.new_environment import new_environment
from free_ports import free_port

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
PROCESSES = procfile.read(ROOT / "Procfile")
STANDING = set(PROCESSES) - {"release"}


FILLED_IN = {
    "DATABASE_URL": "postgresql://auth_app:secret@database.internal/auth",
    "DATABASE_MIGRATE_URL": "postgresql://auth_owner:secret@database.internal/auth",
    "REDIS_URL": "redis://redis.internal:6379/0",
    "EMAIL_URL": "smtp+tls://user:secret@smtp.internal:587",
}


def made(**options: Any) -> dict[str, str]:
    lines = shlex.split(new_environment("auth.example.com", **options), comments=True)
    return dict(line.split("=", 1) for line in lines)


def environment(**changes: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **made(), **FILLED_IN, **changes}


def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("sign_with", ["HS256", "ES256", "EdDSA"])
def test_a_new_environment_passes_the_deployment_check_once_it_is_filled_in(sign_with):
    done = check(environment(JWT_KEYS=made(sign_with=sign_with)["JWT_KEYS"]))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_was_not_filled_in_is_named_and_not_shown():
    done = check({**environment(), **made(), "REDIS_URL": "redis://:PASSWORD@redis.example.com:6379/0"})
    assert done.returncode == 1
    for name in FILLED_IN:
        assert f"{name} still contains a placeholder" in done.stderr
    assert "PASSWORD@" not in done.stdout + done.stderr


def test_services_and_staff_reach_their_listeners_by_the_names_that_they_use():
    """A service got 400 at http://internal:8001, and so did staff by ssh -L; probes, which any host may ask, hid it."""
    program = """
import django; django.setup()
from django.test import Client
import sys
for host in sys.argv[1:]:
    print(Client(SERVER_NAME=host).get("/nowhere", HTTP_HOST=host).status_code)
"""

    def statuses(listener: str, *hosts: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", program, *hosts],
            cwd=ROOT,
            env=environment(LISTENER=listener),
            capture_output=True,
            text=True,
            check=True,
        )
        return [line for line in done.stdout.split() if line.isdecimal()]

    assert statuses("internal", "internal:8001", "127.0.0.1:8001", "auth.example.com") == [
        "404",
        "404",
        "400",
    ]
    assert statuses("public", "auth.example.com", "internal:8001") == ["404", "400"]


def test_compose_finds_all_that_it_asks_for_in_an_environment_that_is_made_for_it():
    asked = set(re.findall(r"\$\{(\w+):\?\}", (DEPLOY / "compose.yaml").read_text()))
    given = made(compose=True)
    assert asked == {"POSTGRES_PASSWORD", "AUTH_OWNER_PASSWORD", "AUTH_APP_PASSWORD"}
    assert all(len(given[name]) > 40 for name in asked)
    assert {"DATABASE_URL", "REDIS_URL"} & set(given) == set()


@pytest.mark.parametrize(
    "host", ["", "localhost", "Auth.example.com", "a'b.example.com", "https://auth.example.com"]
)
def test_a_host_that_is_not_a_name_is_refused(host):
    command = [sys.executable, "deploy/new_environment.py", host]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not a host name" in done.stderr
    assert not done.stdout


def test_a_file_of_it_is_for_its_owner_and_is_never_written_twice(tmp_path):
    """Secrets that are lost take second factors and the ledger's receipts with them."""
    path = tmp_path / "production.env"
    command = [sys.executable, "deploy/new_environment.py", "auth.example.com", "--output", str(path)]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, umask=0)
    written = path.read_text()
    assert (first.returncode, first.stdout, path.stat().st_mode & 0o777) == (0, "", 0o600)
    assert "FIELD_ENCRYPTION_KEYS=" in written
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "is left as it is" in again.stderr
    assert path.read_text() == written


@pytest.mark.parametrize("secrets", ["*.env", "deploy/tls"])
def test_secrets_that_the_page_puts_into_this_directory_reach_no_image_and_no_commit(secrets):
    for ignored in (".dockerignore", ".gitignore"):
        assert secrets in [line.strip("/") for line in (ROOT / ignored).read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "port", "path"),
    [
        ("web", "8000", "/livez"),
        ("internal", "8001", "/livez"),
        ("admin", "8002", "/livez"),
        ("worker", "9803", "/metrics"),
        ("beat", "9804", "/metrics"),
    ],
)
def test_every_process_of_compose_says_whether_it_lives_past_any_proxy(monkeypatch, name, port, path):
    """Docker's own configuration may put a proxy into each container's environment."""
    for others in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(others, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][name]
    (_, program, *arguments) = service["healthcheck"]["test"]
    assert program == "python"
    with answering(path) as here:
        for asked, status in [(here, 0), (free_port(), 1)]:
            command = [sys.executable, *(word.replace(port, str(asked)) for word in arguments)]
            assert subprocess.run(command, check=False, capture_output=True).returncode == status


@contextmanager
def answering(path):
    """Give the port of a server that knows one path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == path else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_image_can_be_read_by_its_user_whatever_the_checkout_s_umask():
    assert "chmod -R a+rX /app" in (DEPLOY / "Dockerfile").read_text()


def test_no_two_of_its_secrets_are_alike_and_none_is_made_twice():
    secrets = [re.findall(r"[\w-]{40,}", new_environment("auth.example.com")) for _ in range(2)]
    assert len(set(secrets[0] + secrets[1])) == 12


def test_an_answer_through_the_proxy_has_strict_transport_security():
    program = """
import django; django.setup()
from django.test import Client
answer = Client().get("/livez", HTTP_HOST="auth.example.com", HTTP_X_FORWARDED_PROTO="https")
print(answer.headers.get("Strict-Transport-Security"))
"""
    shown = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=environment(LISTENER="public", TRUSTED_PROXY_COUNT=proxies),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for proxies in ("1", "0")
    ]
    assert shown == ["max-age=31536000; includeSubDomains; preload", "None"]


def test_every_process_has_a_unit_and_a_container():
    for name in STANDING:
        unit = (DEPLOY / "systemd" / f"auth-{name}.service").read_text()
        assert f"ExecStart=/bin/sh deploy/process {name}\n" in unit
        assert "ProtectSystem=strict" in unit
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name in PROCESSES:
        assert services[name]["command"] == ["sh", "deploy/process", name]
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]


def test_the_admin_finds_what_was_collected_in_its_version():
    """Units have a VAR_DIR, and who runs `collectstatic` by hand has none: it writes to `var` of that version."""
    unit = (ROOT / "deploy/systemd/auth-admin.service").read_text()
    assert "WorkingDirectory=/srv/auth/current\n" in unit
    assert "Environment=STATIC_ROOT=var/static\n" in unit


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("compose-spec", DEPLOY / "compose.yaml"),
        ("renovate", ROOT / "renovate.json"),
    ],
    ids=lambda given: getattr(given, "name", given),
)
def test_files_that_others_read_keep_to_their_schemas(schema, file):
    """`docker compose config` holds its file to the first."""
    check = jsonschema_rs.validator_for(get_builtin_schema(f"vendor.{schema}"))
    given = yaml.safe_load(file.read_text())
    assert [error.message for error in check.iter_errors(given)] == []


def test_a_wrong_word_in_the_file_of_containers_is_seen():
    check = jsonschema_rs.validator_for(get_builtin_schema("vendor.compose-spec"))
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    compose["services"]["web"]["heathcheck"] = {}
    assert len(list(check.iter_errors(compose))) == 1


def test_every_name_in_it_leads_to_something_that_it_has():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert set(service["networks"]) <= set(compose["networks"]), name
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or source.startswith("${") or (DEPLOY / source).exists(), (
                volume
            )
        for awaited, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in compose["services"][awaited], awaited


def test_what_publishes_a_port_is_on_a_network_that_leads_out():
    """Docker publishes nothing of a container whose networks are all internal."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        if "ports" in service:
            assert not all((compose["networks"][one] or {}).get("internal") for one in service["networks"]), (
                name
            )


def test_prometheus_reaches_the_port_of_each_process_of_compose():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    reached = {name for name, service in compose["services"].items() if "metrics" in service["networks"]}
    assert reached == STANDING | {"prometheus"}
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "compose.yml").read_text())["scrape_configs"]
    assert {one["targets"][0].partition(":")[0] for one in job["static_configs"]} == STANDING
    assert all(
        compose["services"][name]["environment"]["METRICS_BIND"] == "0.0.0.0"  # noqa: S104
        for name in STANDING
    )


def test_the_image_has_all_that_the_variable_for_traces_needs():
    text = (DEPLOY / "Dockerfile").read_text()
    assert "COPY requirements.txt requirements-tracing.txt ./" in text
    assert "-r requirements.txt -r requirements-tracing.txt" in text


def test_each_listener_has_a_socket_that_a_restart_leaves_open():
    for name, port in (("web", 8000), ("internal", 8001), ("admin", 8002)):
        socket = (DEPLOY / "systemd" / f"auth-{name}.socket").read_text()
        assert f"ListenStream=127.0.0.1:{port}\n" in socket
        assert "PartOf" not in socket
        assert f"Requires=auth-{name}.socket\n" in (DEPLOY / "systemd" / f"auth-{name}.service").read_text()


def test_only_the_proxy_is_published_and_it_reaches_no_internal_listener():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published.pop("prometheus") == ["127.0.0.1:9090:9090"]  # which nobody starts without its profile
    assert services["prometheus"]["profiles"] == ["prometheus"]
    assert published == {"proxy": ["0.0.0.0:443:443", "0.0.0.0:80:80", "127.0.0.1:8002:8012"]}
    for network, listener in (("edge", "web"), ("staff", "admin")):
        there = [name for name, service in services.items() if network in service.get("networks", [])]
        assert sorted(there) == sorted(["proxy", listener])
    mounted = {
        volume.split(":")[0] for volume in services["proxy"]["volumes"] if volume.startswith("./nginx/")
    }
    assert mounted == {"./nginx/auth-buffered.conf", "./nginx/auth.conf", "./nginx/admin.conf"}


@pytest.mark.parametrize(
    ("file", "listener"), [("auth", "web:8000"), ("admin", "admin:8002"), ("internal", "internal:8001")]
)
def test_each_file_of_the_proxy_buffers_and_reaches_one_listener(file, listener):
    text = (DEPLOY / "nginx" / f"{file}.conf").read_text()
    assert re.findall(r"server ([\w.]+:\d+);", text) == [listener]
    assert text.count("proxy_pass") == text.count("include auth-buffered.conf;") == 1
    assert {"proxy_request_buffering on;", "proxy_buffering on;"} <= set(
        re.findall(r"^proxy_\w+ \w+;", (DEPLOY / "nginx" / "auth-buffered.conf").read_text(), re.MULTILINE)
    )


def test_the_containers_trust_the_proxy_where_it_stands():
    """Services reach the internal listener past it: there nobody may say where they come from."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    counts = {name: count for name, count in services["web"]["environment"].items() if "PROXY_COUNT" in name}
    assert counts == {"TRUSTED_PROXY_COUNT": "1", "ADMIN_TRUSTED_PROXY_COUNT": "1"}
    assert set(services["proxy"]["networks"]) == {"edge", "staff"}
    assert "ADMIN_TRUSTED_PROXY_COUNT=0\n" in new_environment("auth.example.com")


def test_the_containers_say_that_a_proxy_buffers():
    """Their public listener is bound to all addresses, which production refuses without that."""
    web = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["web"]["environment"]
    assert (web["BIND"], web["BEHIND_BUFFERING_PROXY"]) == ("0.0.0.0", "true")  # noqa: S104


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (
            "",
            "internal -m gunicorn config.wsgi:application --config deploy/gunicorn.py --bind 127.0.0.1:9001",
        ),
        ("granian", "internal -m deploy.granian_server 127.0.0.1:9001"),
    ],
)
def test_a_process_of_the_table_runs_as_it_stands_there(tmp_path, server, said):
    """With its variables set and expanded; here with programs that only tell."""
    assert tell(tmp_path, "internal", INTERNAL_WEB_SERVER=server, INTERNAL_PORT="9001").stdout == f"{said}\n"


def test_a_listener_may_have_a_unix_socket(tmp_path):
    assert tell(tmp_path, "web", BIND="unix:/run/auth/web").stdout.endswith(" --bind unix:/run/auth/web\n")


def test_a_server_that_is_neither_is_refused(tmp_path):
    done = tell(tmp_path, "web", WEB_SERVER="uvicorn")
    assert done.returncode == 2
    assert "WEB_SERVER" in done.stderr


def tell(place: Path, process: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (place / "python").write_text('#!/bin/sh\necho "$LISTENER $*"\n')
    (place / "python").chmod(0o755)
    return subprocess.run(
        ["/bin/sh", DEPLOY / "process", process],
        env={"PATH": f"{place}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_name_that_is_not_in_the_table_is_refused():
    done = subprocess.run(["/bin/sh", DEPLOY / "process", "wbe"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "The Procfile has no process wbe.\n")


def test_the_version_is_told_to_operators_and_services_and_to_nobody_else(internal, public):
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    command = [sys.executable, "manage.py", "version"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{told}\n"
    assert internal.get("/v1/schema").json()["info"]["version"] == told
    assert public.get("/v1/schema").json()["info"]["version"] == "1"
    assert told not in public.get("/livez").content.decode()
