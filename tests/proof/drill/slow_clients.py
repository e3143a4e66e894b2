"""F15: clients that send as slowly as they can, and idle clients, in front of the proxy of deploy/nginx."""

import random
import socket
import threading
import time

import nginx
from calls import Caller
from instance import Instance
from mail_sink import MailSink
from reckoning import Verdict, reckon
from traffic import Traffic, percentile, use

SLOW, IDLE = 200, 100
LASTING = 30.0
LEAST = 0.05  # seconds: doubling a p95 below that says nothing on a shared machine
HEAD = b"POST /v1/credits/use HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def slow_and_idle(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Let 200 clients trickle heads and bodies and 100 keep idle connections; others must hardly notice.

    nginx cuts off a head that is not complete within ten seconds. It accepts a body as long as a byte arrives every 20
    seconds: that costs nginx a connection, and the service nothing.
    """
    if not nginx.program():
        verdict.notes.append("skipped: nginx is not installed (Debian: apt-get install nginx)")
        return
    proxy = nginx.Nginx(instance.directory / "nginx", instance.ports)
    try:
        _beside_them(instance, proxy.ports["internal"], verdict)
    finally:
        proxy.stop()


class ToPort(Traffic):
    def __init__(self, instance: Instance, port: int) -> None:
        super().__init__(instance)
        self._port = port

    def caller(self) -> Caller:
        return Caller(self._port, {"X-API-Key": self.instance.api_key})


def _beside_them(instance: Instance, port: int, verdict: Verdict) -> None:
    people, traffic = instance.people(10), ToPort(instance, port)
    traffic.give(people, 100_000)
    with traffic.running(lambda: use(random.choice(people).id), clients=8, per_second=40):
        time.sleep(10)
        begun = time.monotonic()
        slow = [Trickle(port, whole_head=bool(n % 2)) for n in range(SLOW)]
        idle = [_kept(port) for _ in range(IDLE)]
        time.sleep(LASTING)
        ended = time.monotonic()
        for one in slow:
            one.stop()
    answers = [answer for operation in traffic.operations for answer in operation.answers]
    before = percentile([a.seconds for a in answers if a.finished < begun], 0.95)
    during = percentile([a.seconds for a in answers if begun < a.started < ended], 0.95)
    uncut = sum(one.lasted is None for one in slow[::2])
    verdict.require(not any(a.status is None for a in answers), "calls got no answer")
    verdict.require(during <= 2 * max(before, LEAST), f"p95 went from {before:.3f} to {during:.3f} s")
    verdict.require(not uncut, f"{uncut} of {SLOW // 2} slow heads were not cut")
    longest = max((one.lasted or LASTING for one in slow[::2]), default=0.0)
    verdict.notes.append(
        f"p95 {before * 1000:.0f} ms alone, {during * 1000:.0f} ms beside {SLOW} slow and {IDLE} idle clients; "
        f"the last slow head was cut after {longest:.0f} s"
    )
    for connection in idle:
        connection.close()
    reckon(verdict, traffic)


def _kept(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    connection.recv(65536)
    return connection


class Trickle:
    """A request that never ends: a byte every half second, of its head or of its body."""

    def __init__(self, port: int, *, whole_head: bool) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._connection.sendall(HEAD + (b"Content-Length: 60000\r\n\r\n{" if whole_head else b"X-Slow: "))
        self._stop = threading.Event()
        self.lasted: float | None = None  # seconds until it was cut
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(0.5):
            try:
                self._connection.sendall(b" ")
            except OSError:
                self.lasted = time.monotonic() - begun
                return

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._connection.close()
