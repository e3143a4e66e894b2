"""F27: production set up as docs/operations/deploy.md says, with the compose file, behind nginx with TLS.

It covers everything from a new environment to a spent credit, staff signed in, a service at `internal:8001`, every
metrics port read by Prometheus if it is installed, and no alert after ten minutes.
"""

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import nginx
from containers import Composed
from instance import ROOT, directory
from mail_sink import MailSink
from network import missing
from people import await_mails
from reckoning import Verdict
from tests.authenticators import code_of, next_code

HOST = "auth.drill.example"
WATCHED = float(os.environ.get("DRILL_WATCH", "10"))  # minutes in which no alert may fire
PROCESSES = {"web": 9800, "internal": 9801, "admin": 9802, "worker": 9803, "beat": 9804}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SCOPES = "credits:read,credits:add,credits:use"
STAFF = "staff@drill.example"


def compose_by_hand(_instance: object, _sink: object, verdict: Verdict) -> None:
    """Run each process of deploy/compose.yaml in its own namespaces, as the page for operators describes."""
    why = missing() or ("" if nginx.program() else "nginx is not installed (Debian: apt-get install nginx)")
    if why:
        verdict.notes.append(f"skipped: {why}")
        return
    with directory() as place:
        place.chmod(0o755)
        environment, trusted = _environment(place), _certificate(place / "tls")
        with Composed(place, environment, tls=place / "tls") as composed, contextlib.ExitStack() as stack:
            sink = MailSink(composed.gateway("outside"))
            stack.callback(sink.close)
            composed.given["EMAIL_URL"] = f"smtp://{composed.gateway('outside')}:{sink.port}"
            _Drill(composed, verdict, trusted).run(sink)


def _environment(place: Path) -> Path:
    """Run `python deploy/new_environment.py --compose HOST > production.env`; its one CHANGE-ME is filled in later."""
    command = [sys.executable, "deploy/new_environment.py", "--compose", HOST]
    path = place / "production.env"
    path.write_text(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    return path


def _certificate(place: Path) -> ssl.SSLContext:
    """Write fullchain.pem and privkey.pem for a name into the directory; return a context that trusts only it."""
    place.mkdir()
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    (place / "fullchain.pem").write_bytes(made.public_bytes(Encoding.PEM))
    plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (place / "privkey.pem").write_bytes(key.private_bytes(*plain))
    return ssl.create_default_context(cafile=str(place / "fullchain.pem"))


class _Public:
    """A visitor: https at the published port, under the certificate's name."""

    def __init__(self, address: str, trusted: ssl.SSLContext) -> None:
        self._address, self._trusted = address, trusted

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection(HOST, timeout=30, context=self._trusted)
        raw = socket.create_connection((self._address, 443), timeout=30)
        connection.sock = self._trusted.wrap_socket(raw, server_hostname=HOST)
        sent = None if body is None else json.dumps(body).encode()
        connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        self.headers = answer.headers
        return answer.status, json.loads(text) if text.startswith(b"{") else text

    def led_to(self) -> str | None:
        """Return the address to which a visitor without TLS is redirected."""
        connection = http.client.HTTPConnection(self._address, 80, timeout=10)
        connection.request("GET", "/docs", headers={"Host": HOST})
        where = connection.getresponse().headers.get("Location")
        connection.close()
        return where


class _Browser:
    """A member of staff, at http://localhost:8002, which the tunnel leads to the proxy's published port."""

    def __init__(self, address: str) -> None:
        self._address, self._cookies, self._csrf = address, dict[str, str](), ""

    def get(self, path: str) -> tuple[int, str]:
        return self._send("GET", path, None)

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        return self._send("POST", path, urlencode({**fields, "csrfmiddlewaretoken": self._csrf}).encode())

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._address, 8012, timeout=30)
        cookies = "; ".join(f"{name}={text}" for name, text in self._cookies.items())
        connection.request(method, path, body, {"Host": "localhost:8002", "Cookie": cookies, **FORM})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name] = value
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text)
        self._csrf = found[1] if found else self._csrf
        return answer.status, text


class _Drill:
    def __init__(self, composed: Composed, verdict: Verdict, trusted: ssl.SSLContext) -> None:
        self.composed, self.verdict, self._trusted = composed, verdict, trusted

    def run(self, sink: MailSink) -> None:
        began = time.monotonic()
        self.composed.up()
        self.note(
            f"all of {len(self.composed.containers)} services healthy after {time.monotonic() - began:.0f} s"
        )
        self.deployed()
        self.person(sink)
        self.staff()
        self.metrics()
        self.answers_to_nobody_else()
        self.logs()
        self.require(not self.composed.containers["web"].processes["web"].poll(), "web ended")

    def require(self, condition: bool, failure: str) -> None:
        self.verdict.require(condition, failure)

    def note(self, text: str) -> None:
        self.verdict.notes.append(text)

    def must(self, wanted: int, answer: tuple[int, Any], what: str) -> Any:
        """Return the body. Raise SystemExit if the status differs, as nothing after it can work."""
        status, body = answer
        self.verdict.sent += 1
        if status != wanted:
            raise SystemExit(f"{what} was answered {status}: {str(body)[:300]}")
        self.verdict.acked += 1
        return body

    def manage(self, *arguments: str, **environment: str) -> str:
        """Run `docker compose exec worker python manage.py ...`, and return its output."""
        done = self.composed.run("worker", "python", "manage.py", *arguments, **environment)
        if done.returncode:
            raise SystemExit(
                f"manage.py {' '.join(arguments)} ended with {done.returncode}: {done.stdout[-800:]}"
            )
        return done.stdout

    def deployed(self) -> None:
        done = self.composed.run(
            "release", "python", "manage.py", "check", "--deploy", "--fail-level", "WARNING"
        )
        self.require(done.returncode == 0, f"check --deploy: {done.stdout[-800:]}")
        self.require("0 findings" in self.manage("verify_ledger"), "verify_ledger has findings")
        made = json.loads(
            _json_in(self.manage("service_key", "create", "shop", "--scopes", SCOPES, "--json"))
        )
        self._key = {"X-API-Key": made["key"]}
        self.composed.join("shop", "services")
        time.sleep(1)  # in which every process has read the table of keys

    def person(self, sink: MailSink) -> None:
        public = _Public(self.composed.published("proxy"), self._trusted)
        self.require(public.led_to() == f"https://{HOST}/docs", f"port 80 leads to {public.led_to()}")
        self.must(200, public.call("GET", "/readyz"), "/readyz")
        secure = public.headers.get("Strict-Transport-Security", "")
        self.require("max-age" in secure, "an answer over TLS has no Strict-Transport-Security")
        email, password = f"{secrets.token_hex(4)}@drill.example", secrets.token_urlsafe(15)
        account = {"email": email, "password": password}
        self.must(202, public.call("POST", "/v1/auth/register", account), "register")
        await_mails(sink, [email], within=60)
        mail = sink.newest(email)
        link = re.search(rf"https://{HOST}/\S*token=([\w.%:-]+)", mail.text if mail else "")
        if link is None:
            raise SystemExit(f"no mail with a link to https://{HOST}: {mail and mail.text[:300]}")
        self.must(200, public.call("POST", "/v1/auth/verify-email", {"token": link[1]}), "verify-email")
        tokens = self.must(200, public.call("POST", "/v1/auth/login", account), "login")
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        user = self.must(200, public.call("GET", "/v1/auth/me", **bearer), "me")["id"]
        self._spend(user)

    def _spend(self, user: str) -> None:
        self._service("credits/add", {"user_id": user, "amount": 3, "type": "bonus"}, wanted=201)
        spent = self._service("credits/use", {"user_id": user, "amount": 1}, wanted=201)
        self.require(spent["balance_after"] == 2, f"after a spend of 1 of 3: {spent}")
        self.note(
            "a person registered, confirmed and signed in over TLS; a service at internal:8001 spent a credit"
        )

    def _service(self, path: str, body: Mapping[str, object], *, wanted: int) -> Any:
        headers = {**self._key, "Idempotency-Key": secrets.token_hex(8)}
        answer = self.composed.ask(
            "shop", f"http://internal:8001/v1/{path}", headers, json.dumps(body).encode()
        )
        return self.must(wanted, (answer.status, json.loads(answer.text)), path)

    def staff(self) -> None:
        password = secrets.token_urlsafe(15)
        self.manage("createsuperuser", "--noinput", "--email", STAFF, DJANGO_SUPERUSER_PASSWORD=password)
        link = self.manage("staff_enrol", STAFF)
        found = re.search(r"http://localhost:8002(/admin/enrol/\?token=([\w.:%-]+))", link)
        if found is None:
            raise SystemExit(f"staff_enrol printed no link to the tunnel's end: {link[-300:]}")
        browser = _Browser(self.composed.published("proxy"))
        self.must(200, browser.get(found[1]), "the enrolment's page")
        _, shown = browser.post("/admin/enrol/", token=found[2], password=password)
        secret = re.search(r'id="secret">\s*([A-Z2-7]+)\s*<', shown)
        if secret is None:
            raise SystemExit(f"the enrolment shows no secret: {shown[-500:]}")
        browser.post("/admin/enrol/", token=found[2], code=code_of(secret[1]))
        self.note("a member of staff enrolled at the end of the tunnel")
        self._signs_in(_Browser(self.composed.published("proxy")), password, secret[1])

    def _signs_in(self, browser: _Browser, password: str, secret: str) -> None:
        self.must(200, browser.get("/admin/login/"), "the admin's sign-in")
        self.must(
            302, browser.post("/admin/login/", username=STAFF, password=password), "the admin's password"
        )
        self.must(200, browser.get("/admin/factor/"), "the page of the second factor")
        self.must(302, browser.post("/admin/factor/", code=next_code(secret)), "the admin's second factor")
        page = self.must(200, browser.get("/admin/"), "the admin")
        self.require(
            "Log out" in page or "/admin/logout/" in page, "the admin's first page is not that of staff"
        )
        self.note("and signed in at http://localhost:8002 on another browser")

    def logs(self) -> None:
        """Require lines of JSON from every process, none of them worse than info: nobody reads them on a good day."""
        for name in PROCESSES:
            for line in self.composed.log(name).read_text().splitlines():
                level = json.loads(line)["level"] if line.startswith("{") else ""
                self.require(level in {"debug", "info"}, f"{name} logged {line[:300]}")

    # Metrics

    def metrics(self) -> None:
        if shutil.which("prometheus"):
            self._watched()
            return
        reader = self.composed.join("reader", "metrics")
        for name, port in PROCESSES.items():
            answer = self.composed.ask(reader.name, f"http://{name}:{port}/metrics")
            self.require(
                answer.status == 200 and "auth_build_info" in answer.text, f"{name} tells no metrics"
            )
        self.note("read each port; no alerts were tried: Prometheus is not installed (Debian: prometheus)")

    def _watched(self) -> None:
        """Run the Prometheus of compose's profile, with its rules, for as long as an alert would take."""
        self.composed.up("prometheus")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and set(self._targets().values()) != {"up"}:
            time.sleep(1)
        targets = self._targets()
        self.require(len(targets) == 5 and set(targets.values()) == {"up"}, f"Prometheus sees {targets}")
        fired: set[str] = set()
        until = time.monotonic() + 60 * WATCHED
        while time.monotonic() < until:
            time.sleep(5)
            fired |= self._alerts("firing")
        rules = [rule for group in self._told("rules")["groups"] for rule in group["rules"]]
        unwell = [rule["name"] for rule in rules if rule["health"] == "err"]
        self.require(not fired, f"alerts fired on a healthy system: {fired}")
        self.require(not self._alerts("pending"), f"alerts wait to fire: {self._alerts('pending')}")
        self.require(set(self._targets().values()) == {"up"}, f"at the end Prometheus sees {self._targets()}")
        for counted in ('auth_logins_total{result="ok"}', 'auth_ledger_operations_total{type="use"}'):
            self.require(self._value(f"sum({counted})") >= 1, f"Prometheus has not read of {counted}")
        self.require(bool(rules) and not unwell, f"rules that Prometheus cannot reckon: {unwell}")
        self.note(
            f"Prometheus read {len(targets)} processes; {len(rules)} rules, none fired in {WATCHED:.0f} minutes"
        )

    def _alerts(self, state: str) -> set[str]:
        return {
            one["labels"]["alertname"]
            for one in self._told("alerts").get("alerts", [])
            if one["state"] == state
        }

    def _value(self, expression: str) -> float:
        found = self._told(f"query?{urlencode({'query': expression})}").get("result")
        return float(found[0]["value"][1]) if found else 0.0

    def _targets(self) -> dict[str, str]:
        told = self._told("targets").get("activeTargets", [])
        return {one["labels"]["process"]: one["health"] for one in told}

    def _told(self, what: str) -> Any:
        connection = http.client.HTTPConnection(self.composed.published("prometheus"), 9090, timeout=10)
        try:
            connection.request("GET", f"/api/v1/{what}")
            return json.loads(connection.getresponse().read())["data"]
        except (OSError, ValueError, KeyError):  # it begins
            return {}
        finally:
            connection.close()

    def answers_to_nobody_else(self) -> None:
        """Check that the proxy leads only to the public listener, and that services without a common network cannot
        connect.
        """
        public = _Public(self.composed.published("proxy"), self._trusted)
        for path in ("/metrics", "/v1/users", "/admin/"):
            status, _ = public.call("GET", path)
            self.require(status == 404, f"{path} was answered {status} to the outside")
        for other in ("postgres", "web"):
            with self.composed.containers["shop"].entered(), contextlib.suppress(OSError):
                address = self.composed.containers[other].address
                socket.create_connection((address, 5432 if other == "postgres" else 8000), timeout=2).close()
                self.require(False, f"a service reaches {other}")


def _json_in(text: str) -> str:
    return text[text.index("{") :]
