"""What deploy/ brings fits what it deploys."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

import procfile
from deploy.new_environment import new_environment

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
PROCESSES = procfile.read(ROOT / "Procfile")
STANDING = set(PROCESSES) - {"release"}


def environment(**changes: str) -> dict[str, str]:
    lines = shlex.split(new_environment("auth.example.com"), comments=True)
    return {"PATH": os.environ["PATH"], **dict(line.split("=", 1) for line in lines), **changes}


def test_a_new_environment_passes_the_deployment_check():
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_each_listener_has_a_socket_that_a_restart_leaves_open():
    for name, port in (("web", 8000), ("internal", 8001), ("admin", 8002)):
        socket = (DEPLOY / "systemd" / f"auth-{name}.socket").read_text()
        assert f"ListenStream=127.0.0.1:{port}\n" in socket
        assert "PartOf" not in socket
        assert f"Requires=auth-{name}.socket\n" in (DEPLOY / "systemd" / f"auth-{name}.service").read_text()


def test_only_the_proxy_is_published_and_it_reaches_the_public_listener_alone():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published.keys() == {"proxy", "admin"}
    assert all(port.startswith("127.0.0.1:") for port in published["admin"])
    beside_the_proxy = [name for name, service in services.items() if "edge" in service.get("networks", [])]
    assert sorted(beside_the_proxy) == ["proxy", "web"]
    assert re.findall(r"server ([\w.]+:\d+);", (DEPLOY / "nginx" / "auth.conf").read_text()) == ["web:8000"]


def test_a_process_of_the_table_runs_as_it_stands_there(tmp_path):
    """With its variables set and expanded; here with programs that only tell."""
    (tmp_path / "python").write_text('#!/bin/sh\necho "$LISTENER $*"\n')
    (tmp_path / "python").chmod(0o755)
    said = subprocess.run(
        ["/bin/sh", DEPLOY / "process", "internal"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "INTERNAL_PORT": "9001"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.startswith("internal -m gunicorn config.wsgi:application")
    assert said.endswith("--bind 127.0.0.1:9001\n")


def test_a_name_that_is_not_in_the_table_is_refused():
    done = subprocess.run(["/bin/sh", DEPLOY / "process", "wbe"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "The Procfile has no process wbe.\n")
