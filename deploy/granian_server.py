"""Serves a listener with granian, sized and logged by deploy/gunicorn.py: `python -m deploy.granian_server ADDRESS`.

granian's own defaults do not suit us: 256 threads per worker (each with a database connection), no replacement for a
worker that died, HTTP/2 and an asynchronous interface. Its parent never loads the application; each worker does.
"""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from deploy import gunicorn
from deploy.granian_reload import Respawned, Succession

CONNECTIONS = 1000  # per worker, including idle ones: as many as gunicorn's
LARGEST_HEAD = 64 * 1024
HEAD_WITHIN = 10  # seconds
MOST_LEFT = 64 * 1024  # bytes of a body, as with gunicorn
START = 30.0  # seconds that a new worker gets to import the application before an old one ends


def server(address: str) -> Any:
    """Return granian's server for `host:port` or `unix:/path`."""
    scheme, _, path = address.partition("unix:")
    host, _, port = scheme.rpartition(":")
    place = {"uds": Path(path)} if path else {"address": host.strip("[]"), "port": int(port)}
    handlers = gunicorn.logconfig_dict["loggers"]["gunicorn.error"]
    return Granian(
        "config.wsgi:application",
        **place,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=gunicorn.workers,
        blocking_threads=gunicorn.threads,
        backlog=2048,
        backpressure=CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_WITHIN * 1000, max_buffer_size=LARGEST_HEAD),
        respawn_failed_workers=True,
        respawn_interval=START,
        workers_kill_timeout=gunicorn.graceful_timeout,
        log_dictconfig={**gunicorn.logconfig_dict, "loggers": {"_granian": handlers}},
    )


class Chunked:
    """The body of a chunked request; it is refused if nothing arrived.

    granian presents a body that was cut off or badly framed as one that ended (2.8). JSON that was cut off does not
    parse, but an empty body would count as {}, and a capture without an amount takes all.
    """

    def __init__(self, body: Any) -> None:
        self._body, self._came = body, False
        self.readline = body.readline  # Django expects it to be there, but nothing calls it

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._body.read(size)
        if not piece and not self._came:
            raise EOFError
        self._came = True
        return piece


def attend_bodies(application: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse bodies that were cut off, and read what the application leaves unread: granian would otherwise close the
    connection without notice, and the client would lose its next call.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        body = environ["wsgi.input"]
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = Chunked(body)
        answer = application(environ, start_response)
        if 0 < int(environ.get("CONTENT_LENGTH") or 0) <= MOST_LEFT:
            body.read()
        return answer

    return serve


def load(_target: str) -> Callable[..., Any]:
    """Return the application, in a worker that has just started; what the import created stays, as with gunicorn."""
    from config.wsgi import application

    gc.collect()
    gc.freeze()
    gunicorn.post_fork(None, None)
    return attend_bodies(application)


if __name__ == "__main__":
    granian, succession = server(sys.argv[1]), Succession(gunicorn.workers)
    granian.respawned_wrks = Respawned(succession)
    granian.on_startup(succession.attend_end)
    granian.on_reload(succession.begin)
    granian.serve(spawn_target=succession.serve, target_loader=load)
