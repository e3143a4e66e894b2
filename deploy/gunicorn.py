"""gunicorn's configuration for a listener. WEB_CONCURRENCY and WEB_THREADS size it."""

import gc
import os
import socket
import struct
from typing import Any

from gunicorn.glogging import Logger

from config.logging import PLAIN
from config.settings.environment import integer
from config.settings.threads import SERVER_THREADS


class NoAccessLog(Logger):  # type: ignore[misc]
    """Disables gunicorn's access log: RequestFloor writes a line for each request, and gunicorn would only format lines
    that nobody sees.
    """

    access_log_enabled = False


logger_class = NoAccessLog
worker_class = "gthread"
workers = integer("WEB_CONCURRENCY")
threads = SERVER_THREADS
timeout = 30  # a worker whose loop has not moved for this long is replaced
keepalive = 75  # seconds: longer than clients' pools keep a connection, so that the client ends it and loses no request
graceful_timeout = 15  # seconds that an open request gets to finish
max_requests, max_requests_jitter = 20_000, 2_000  # a leak never grows old; never both workers at once
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # heartbeats touch no disk
forwarder_headers = ""  # no header becomes SCRIPT_NAME or PATH_INFO: the path is the requested one
SILENCE = 10  # seconds for which a client may keep a thread waiting to read or write a byte
control_socket_disable = True  # one socket file would be shared by every gunicorn of this user

# Its lines in the format of all others (config/logging.py), without the content of the requests that they are about.
logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logging.JSONFormatter"}},
    "filters": {"server": {"()": "config.logging.ServerLines"}},
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "json",
            "filters": ["server"],
        }
    },
    "root": {"level": "INFO", "handlers": ["stdout"]},
    "loggers": {
        "gunicorn.error": {
            "level": "WARNING" if PLAIN else "INFO",
            "handlers": ["stdout"],
            "propagate": False,
        }
    },
}

# The master imports the application once: a start costs half the processor time, and a dead worker is replaced in a
# moment. New code therefore needs a new master (restart, or USR2); a HUP is not enough.
preload_app = True


def when_ready(server: Any) -> None:
    """Have the kernel end waiting for a silent client: a connection inherits these options from its listener.

    It is the last resort if no proxy buffers. A client that trickles still occupies a thread (docs/decisions/0021).
    """
    for listener in server.LISTENERS:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", SILENCE, 0))


def pre_fork(server: object, worker: object) -> None:
    """Close connections that the import opened, which workers must not share, and freeze what it created.

    Frozen objects stay for good: collections do not walk them, and their pages stay shared.
    """
    from django.db import connections

    connections.close_all()
    gc.collect()
    gc.freeze()


def post_fork(server: object, worker: object) -> None:
    """Collect after 50,000 objects, not 700: requests leave few cycles behind, and it saves a tenth of a request's
    time.
    """
    from django.conf import settings

    from config import metrics_port

    gc.set_threshold(50_000, 20, 100)
    metrics_port.open_for(settings.LISTENER)


def pre_exec(server: Any) -> None:
    """Start USR2's new master as a module: run by the path of gunicorn's __main__.py, gunicorn's `http` would hide
    Python's.
    """
    arguments = server.START_CTX["args"]
    if arguments[1].endswith("__main__.py"):
        arguments[1:2] = ["-m", "gunicorn"]
