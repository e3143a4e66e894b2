"""Starts the providers for tests, and plays the person who signs in there."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from django.conf import settings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NPM = shutil.which("npm")
CLIENTS = (
    "web.apps.test",
    "native.apps.test",
)  # of config/settings/test.py: the browser's, and a native app's


class Provider:
    """A running provider. `authorize` plays the browser; `forge` signs anything with the provider's real key."""

    token_path, authorize_path = "/oauth2/token", "/oauth2/authorize"

    def __init__(self, url: str, *, clients: tuple[str, str] = CLIENTS) -> None:
        self.url, self.clients = url, clients
        self.http = httpx.Client(base_url=url, timeout=10)
        self.key: dict[str, Any] = httpx.get(f"{url}/control/key").json()
        self.signing = jwt.PyJWK(self.key, "RS256").key  # once: to load one is to check it, 40 ms

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings that our service needs."""
        google: dict[str, Any] = {**settings.SOCIALACCOUNT_PROVIDERS["google"]}
        google["APPS"] = [{**google["APPS"][0], "provider_id": self.url}]
        return {
            "GOOGLE_AUTHORIZATION_URL": f"{self.url}{self.authorize_path}",
            "GOOGLE_TOKEN_URL": f"{self.url}{self.token_path}",
            "GOOGLE_JWKS_URL": f"{self.url}/jwks",
            "GOOGLE_ISSUERS": [self.url, self.url.removeprefix("http://")],
            "SOCIALACCOUNT_PROVIDERS": {"google": google},
        }

    def add(self, subject: str, **claims: Any) -> None:
        """Add a person with an account there. Like Google, it reports the address as verified."""
        self.http.put(f"/users/{subject}", json={"email_verified": True, **claims}).raise_for_status()

    def authorize(self, authorization_url: str, subject: str) -> dict[str, str]:
        """Sign in there, and return the parameters with which the browser is sent back."""
        answer = self.http.post(authorization_url, data={"sub": subject})
        return self._brought_back(answer)

    def deny(self, authorization_url: str) -> dict[str, str]:
        return self._brought_back(self.http.post(authorization_url, data={"action": "deny"}))

    def _brought_back(self, answer: httpx.Response) -> dict[str, str]:
        assert answer.status_code in {302, 303}, answer.text
        return {
            name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()
        }

    def order(self, **orders: Any) -> dict[str, int]:
        """Set how the token endpoint answers from now on. Return how often it and the keys were requested."""
        counts: dict[str, int] = self.http.post("/control/orders", json=orders).json()
        return counts

    def claims(self, subject: str, **changes: Any) -> dict[str, Any]:
        """Return a good set of claims with these changes; None removes a claim."""
        now = int(time.time())
        good = {
            "iss": self.url, "aud": self.clients[0], "azp": self.clients[0], "sub": subject,
            "iat": now, "exp": now + 3600,
            "email": f"{subject}@gmail.test", "email_verified": True, "name": "Ada",
        }  # fmt: skip
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def forge(self, claims: dict[str, Any], *, header: dict[str, Any] | None = None, key: Any = None) -> str:
        """Return a token signed with RS256 by the provider's own key, or by another."""
        signing = key if key is not None else self.signing
        text = json.dumps(claims).encode()  # whatever it is: PyJWT's own encode refuses some
        return jwt.PyJWS().encode(text, signing, "RS256", headers={"kid": self.key["kid"], **(header or {})})


class NodeProvider(Provider):
    token_path, authorize_path = "/token", "/authorize"

    def authorize(self, authorization_url: str, subject: str) -> dict[str, str]:
        return self._brought_back(self.http.get(f"{authorization_url}&sub={subject}"))

    def deny(self, authorization_url: str) -> dict[str, str]:
        pytest.skip("oauth2-mock-server asks nobody, so nobody can deny")


@contextmanager
def python_provider() -> Iterator[Provider]:
    with _running([sys.executable, "-m", "tests.fake_google"], ROOT) as url:
        provider = Provider(url)
        with provider.http:
            yield provider


@contextmanager
def node_provider() -> Iterator[Provider]:
    directory = _installed()
    with _running(["node", "server.mjs"], directory) as url:
        provider = NodeProvider(url)
        with provider.http:
            yield provider


def _installed() -> Path:
    """Return a copy with its packages, installed once. If node is available, CI must not skip this provider."""
    if shutil.which("node") is None or NPM is None:
        pytest.skip("node and npm are not installed: the second provider is a package of theirs")
    copy = ROOT / "var" / "fake-google-node"
    copy.mkdir(parents=True, exist_ok=True)
    with (copy / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(copy)
    return copy


def _install(copy: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc", "server.mjs"):
        shutil.copy(HERE / "node" / name, copy / name)
    if not (copy / "node_modules" / "oauth2-mock-server").is_dir():
        done = subprocess.run(
            [str(NPM), "ci", "--silent"], cwd=copy, capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = f"npm could not install the second provider: {done.stderr.strip()[-300:]}"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@contextmanager
def _running(command: list[str], directory: Path) -> Iterator[str]:
    with subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://"), f"{command[-1]} does not start"
            yield url
        finally:
            process.kill()
