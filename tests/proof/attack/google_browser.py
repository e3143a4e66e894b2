"""A browser that signs in with Google, or that holds what a thief gave it: its cookie and its own address."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import fake_google_child
from calls import Answer, Caller
from instance import Instance
from tests.fake_google.providers import Provider

CALLBACK, TOKEN = "/v1/auth/google/callback", "/v1/auth/google/token"
GET, POST = "GET", "POST"


def provider_of(instance: Instance) -> Provider:
    """Return the instance's fake Google, with its key to forge with."""
    return Provider(f"http://127.0.0.1:{instance.ports['google']}", clients=fake_google_child.CLIENTS)


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def changed(url: str, **changes: str | None) -> str:
    """Return the URL with other parameters; None removes one."""
    kept = {name: text for name, text in {**parameters(url), **changes}.items() if text is not None}
    return urlsplit(url)._replace(query=urlencode(kept)).geturl()


class Browser:
    def __init__(self, instance: Instance, *, cookie: str = "") -> None:
        self.caller = Caller(instance.ports["web"])
        self.cookie = cookie

    def begin(self) -> str:
        """Return the URL at Google to which the browser is sent."""
        return str(self._bound(self.caller.get("/v1/auth/google/login", self._cookies())))

    def begin_link(self, bearer: dict[str, str]) -> str:
        headers = {**bearer, **self._cookies()}
        return str(self._bound(self.caller.post("/v1/auth/google/link", {}, headers)))

    def _bound(self, answer: Answer) -> Any:
        if not answer.done:
            raise SystemExit(f"No sign-in with Google begins: {answer.status} {answer.body}")
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer.body["authorization_url"]

    def _cookies(self) -> dict[str, str]:
        return {"Cookie": self.cookie} if self.cookie else {}

    def come_back(self, brought: dict[str, Any], *, method: str = GET) -> Answer:
        """Come back by Google's redirect, or by the front end that passes on what it brought."""
        if method == POST:
            return self.caller.post(CALLBACK, brought, self._cookies())
        return self.caller.get(f"{CALLBACK}?{urlencode(brought)}", self._cookies())

    def front_end_code(self, brought: dict[str, Any]) -> str:
        """Return the code that the callback's redirect brings to a front end."""
        return parameters(self.come_back(brought).headers["location"])["code"]

    def exchange(self, code: str) -> Answer:
        return self.caller.post("/v1/auth/exchange", {"code": code}, self._cookies())

    def nonce(self) -> str:
        return str(self.caller.post("/v1/auth/google/nonce").body["nonce"])

    def bring(self, id_token: str) -> Answer:
        return self.caller.post(TOKEN, {"id_token": id_token})
