"""nginx in front of listeners on this machine, with the files of deploy/nginx: without TLS, on free loopback ports."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import places
from free_ports import free_port
from processes import die_with_parent

FILES = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
MAIN = """\
daemon off;
user root;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    include {place}/*.site;
}}
"""


def program() -> str:
    """Return the path of the installed nginx, or ""."""
    return places.program("nginx")


def as_understood_here(text: str) -> str:
    """Return a file of deploy/nginx in a form that this machine's nginx understands: `http2 on` is newer than some."""
    said = subprocess.run([program() or "nginx", "-v"], capture_output=True, text=True, check=True).stderr
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:3])
    if version >= (1, 25, 1):
        return text
    return re.sub(r"^ *http2 on;.*\n", "", text, flags=re.MULTILINE).replace("443 ssl;", "443 ssl http2;")


class Nginx:
    """Listens for each upstream (`web`, `internal`, `admin`) whose port it is given."""

    def __init__(self, place: Path, upstreams: Mapping[str, int]) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.ports: dict[str, int] = {}
        self._upstreams = upstreams
        (place / "nginx.conf").write_text(self._main(place))
        shutil.copy(FILES / "auth-buffered.conf", place)
        for name in ("auth.conf", "admin.conf", "internal.conf"):
            (place / name).with_suffix(".site").write_text(self._on_loopback((FILES / name).read_text()))
        self.process = subprocess.Popen(
            [program() or "nginx", "-p", str(place), "-c", str(place / "nginx.conf")],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        self._await(place / "nginx.log")

    @staticmethod
    def _main(place: Path) -> str:
        text = MAIN.format(place=place)
        return text if os.geteuid() == 0 else text.replace("user root;\n", "")

    def _on_loopback(self, text: str) -> str:
        for listens, name in (
            ("443 ssl", "web"),
            ("8012", "admin"),
            ("8011", "internal"),
            ("80", "redirect"),
        ):
            if f"listen {listens};" in text:
                self.ports[name] = free_port()
                text = text.replace(f"listen {listens};", f"listen 127.0.0.1:{self.ports[name]};")
        text = re.sub(r"^ *(ssl_|http2 ).*\n", "", text, flags=re.MULTILINE)
        return re.sub(
            r"server (\w+):\d+;", lambda it: f"server 127.0.0.1:{self._upstreams.get(it[1], 9)};", text
        )

    def _await(self, log: Path) -> None:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.ports["web"]), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise SystemExit(f"nginx did not start: {log.read_text()[-1000:]}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
