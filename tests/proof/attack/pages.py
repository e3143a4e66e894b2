"""HTML pages as a browser without scripts handles them: cookies, the last page's CSRF token, forms."""

import http.client
import re
from collections.abc import Mapping
from urllib.parse import urlencode

PATIENCE = 20.0  # seconds
FORM = "application/x-www-form-urlencoded"
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
# A field that is shown again has what was typed into it; a password has none.
_TYPED = re.compile(r'(?<=name="username" )value="[^"]*"')


class Pages:
    """Requests pages. `refused` keeps every answer of 400 or above, and every page that is shown again for a wrong
    form.
    """

    def __init__(self, port: int, *, address: str) -> None:
        self.port, self.cookies, self.refused = port, dict[str, str](), list[str]()
        self._headers = {"X-Forwarded-For": address, "User-Agent": "Firefox Windows"}
        self._csrf = ""

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> str:
        return self.send("GET", path, None, headers or {})[1]

    def post(self, path: str, fields: Mapping[str, str], *, forged: bool = False) -> str:
        """Send a form of the last page; `forged` sends one from another site."""
        sent = fields if forged or not self._csrf else {**fields, "csrfmiddlewaretoken": self._csrf}
        status, text = self.send("POST", path, urlencode(sent).encode(), {"Content-Type": FORM})
        if status == 200:
            self.refused.append(_TYPED.sub("", text))
        return text

    def submit(self, path: str, fields: Mapping[str, str]) -> int:
        """Send a form with its page's token; return the status of the answer."""
        return self.send("POST", path, urlencode(fields).encode(), {"Content-Type": FORM})[0]

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        cookies = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        named = {**self._headers, **({"Cookie": cookies} if cookies else {}), **headers}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        self._keep(answer)
        if answer.status >= 400:
            self.refused.append(text + str(answer.headers))
        found = _TOKEN.search(text)
        self._csrf = found[1] if found else self._csrf
        return answer.status, text

    def _keep(self, answer: http.client.HTTPResponse) -> None:
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, text = line.partition(";")[0].partition("=")
            self.cookies[name] = text
