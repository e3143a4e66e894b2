"""A headless Chromium, driven over its DevTools protocol (a pair of pipes): what a person sees, types and clicks.

Elements are found as people find them: buttons and links by their text, fields by their labels. Standard library only.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-extensions", "--disable-background-networking", "--hide-scrollbars", "--no-proxy-server",
)  # fmt: skip
# Chromium reads descriptor 3 and writes 4. `sh` could put ours there, but knows no number above 9.
REDIRECTED = """
import fcntl, os, sys
for kept, number in [(fcntl.fcntl(int(one), fcntl.F_DUPFD, 10), to) for one, to in zip(sys.argv[1:3], (3, 4))]:
    os.dup2(kept, number)
    os.close(kept)
os.execvp(sys.argv[3], sys.argv[3:])
"""
PATIENCE_SECONDS = 20.0
ANSWER_SECONDS = 30.0
# Visible elements with that text; if there are several, the innermost, and a button before a link.
FIND = """
(kind, words, within) => {
  const seen = (element) => element.getClientRects().length > 0;
  const said = (element) => (element.ariaLabel || element.innerText || element.value || "").trim();
  const root = within ? document.getElementById(within) : document;
  if (!root) return null;
  if (kind === "field") {
    const labels = [...root.querySelectorAll("label")].filter(seen);
    const label = labels.find((one) => one.innerText.trim().startsWith(words));
    return label ? label.control ?? label.querySelector("input, select") : null;
  }
  const candidates = [...root.querySelectorAll("button, a, summary")].filter((one) => seen(one) && !one.disabled);
  return candidates.find((one) => said(one) === words) ?? candidates.find((one) => said(one).startsWith(words)) ?? null;
}
"""
# An element's centre, once it has not moved for two frames and nothing covers it.
POINT = """
async (element) => {
  if (!element) return null;
  const frame = () => new Promise(requestAnimationFrame);
  element.scrollIntoView({ block: "center" });
  const before = element.getBoundingClientRect();
  await frame();
  await frame();
  const { x, y, width, height } = element.getBoundingClientRect();
  if (x !== before.x || y !== before.y || element.disabled) return null;
  const point = [x + width / 2, y + height / 2];
  return element.contains(document.elementFromPoint(...point)) ? point : null;
}
"""


class BrowserFailed(Exception):
    """Raised when something was missing from the page, or the browser failed."""


def path() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One window with its own profile."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0
        self._buffer = b""
        self._session: str | None = None
        self.console: list[str] = []  # the page's complaints

    @classmethod
    @contextlib.contextmanager
    def opened(cls) -> Iterator[Self]:
        """Open Chromium for the block. Raise BrowserFailed if it is not installed."""
        with tempfile.TemporaryDirectory(prefix="browser-") as directory:
            browser = cls(Path(directory))
            browser._start()
            try:
                yield browser
            finally:
                browser._stop()

    def _start(self) -> None:
        program = path()
        if program is None:
            raise BrowserFailed("There is no Chromium here: apt-get install chromium.")
        commands, self._write_to = os.pipe()
        self._read_from, answers = os.pipe()
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                REDIRECTED,
                str(commands),
                str(answers),
                program,
                *OPTIONS,
                *root,
                f"--user-data-dir={self._directory}",
            ],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self._directory)},
        )
        os.close(commands)
        os.close(answers)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write_to)
        os.close(self._read_from)

    # ------------------------------------------------------------ the protocol

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result. Messages that arrive before it are read, and complaints kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write_to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_SECONDS
        while (answer := self._next(deadline)).get("id") != self._number:
            self._note(answer)
        if "error" in answer:
            raise BrowserFailed(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read_from], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self._read_from, 1 << 16) if ready else b""
            if not piece:
                raise BrowserFailed("The browser does not answer.")
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description", details["text"]))
        elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            entry = event["params"]["entry"]
            self.console.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}".strip())

    # ------------------------------------------------------------ what a person does

    def go(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, with promises awaited; None while a page is being replaced."""
        try:
            found = self.call(
                "Runtime.evaluate",
                expression=expression,
                returnByValue=True,
                awaitPromise=True,
                userGesture=True,
            )
        except BrowserFailed as error:
            if "context" in str(error) or "navigated" in str(error):
                return None
            raise
        if "exceptionDetails" in found:
            raise BrowserFailed(found["exceptionDetails"]["exception"].get("description", "an exception"))
        return found["result"].get("value")

    def wait(self, expression: str, what: str) -> Any:
        """Wait until the expression is true, and return its value."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (value := self.evaluate(expression)):
            if time.monotonic() > deadline:
                raise BrowserFailed(f"{what} is not there, but: {self.text()[:1500]}")
            time.sleep(0.05)
        return value

    def text(self) -> str:
        return str(self.evaluate("document.body?.innerText ?? ''"))

    def see(self, words: str) -> None:
        self.wait(f"document.body?.innerText.includes({json.dumps(words)})", repr(words))

    def click(self, words: str, *, within: str = "") -> None:
        """Click the button or link with this text at its centre, with the mouse, once it can be clicked."""
        place = json.dumps(["control", words, within])[1:-1]
        x, y = self.wait(
            f"({POINT})(({FIND})({place}))",
            f"The button {words!r}",
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def fill(self, label: str, value: str, *, within: str = "") -> None:
        place = json.dumps(["field", label, within])[1:-1]
        self.wait(
            f"(() => {{ const it = ({FIND})({place}); if (!it) return false;"
            " it.focus(); it.select?.(); return true; })()",
            f"The field {label!r}",
        )
        self.call("Input.insertText", text=value)

    def add_authenticator(self) -> None:
        """Add a platform authenticator that verifies its user and agrees to everything."""
        self.call("WebAuthn.enable")
        self.call(
            "WebAuthn.addVirtualAuthenticator",
            options={
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            },
        )

    def size(self, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def photograph(self, target: Path, width: int) -> None:
        """Photograph the whole page, however long, at this width."""
        self.size(width)
        self.size(width, max(900, self.evaluate("document.documentElement.scrollHeight")))
        self.photograph_window(target)

    def photograph_window(self, target: Path) -> None:
        shot = self.call("Page.captureScreenshot")
        target.write_bytes(base64.b64decode(shot["data"]))
