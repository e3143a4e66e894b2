"""How gunicorn runs each of the three listeners. WEB_CONCURRENCY and WEB_THREADS size it."""

import os

worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
timeout = 30  # a worker whose loop has not moved for this long is replaced
graceful_timeout = 15  # what an open request gets to finish
max_requests, max_requests_jitter = 20_000, 2_000  # a leak never grows old; never both workers at once
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # heartbeats touch no disk
control_socket_disable = True  # one socket file would be shared by every gunicorn of this user
