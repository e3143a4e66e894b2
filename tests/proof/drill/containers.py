"""deploy/compose.yaml without a container engine: a network namespace for each service, a bridge for each network, and
a separate root with the image's files, read-only, under the user and without the privileges that the file specifies.

It is not Docker: no image is built, the stores and nginx are those of this machine, and names are in /etc/hosts.
"""

import http.client
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

import dev_env
import nginx
from instance import ROOT, clean_environment
from network import Host, bridge, ip, named, remove, remove_leftovers
from postgres import Postgres
from valkey import program

DEPLOY = ROOT / "deploy"
PREFIX = "198.19"  # for tests of networks (RFC 2544); the other half is network.py's
PATIENCE = 120.0  # seconds for a service to be healthy
UID = 10001
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NGINX_CONF = """\
worker_processes 1;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    include /etc/nginx/conf.d/*.conf;
}
"""
ENTER = """\
set -eu
mount -t tmpfs -o mode=755 tmpfs {root}
cd {root}
mkdir -p usr etc proc dev tmp run var/lib/nginx var/log/nginx
for link in bin sbin lib lib64; do
    [ -L /$link ] && cp -a /$link $link || {{ mkdir -p $link && mount --bind /$link $link; }}
done
mount --bind /usr usr
for name in alternatives ld.so.cache nsswitch.conf ssl; do [ ! -e /etc/$name ] || cp -a /etc/$name etc/; done
mount --rbind /proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs var
mkdir -p var/lib/nginx var/log/nginx
{binds}
mount -o remount,ro {root}
cd /
exec chroot {root} setpriv {privileges} --pdeathsig TERM -- sh -c 'cd "$0" && exec "$@"' {directory} "$@"
"""


class Container(Host):
    """A service of the file, plugged into its networks."""

    def __init__(self, name: str, number: int, networks: Mapping[str, str]) -> None:
        """Plug it in; `networks` maps the letter of each network to the service's address there."""
        self.name, self._number = name, number
        self.namespace = named(name)
        self.addresses = dict(networks)
        self.address = next(iter(networks.values()))
        self.processes = {}
        ip("netns", "add", self.namespace)
        self._inside("link", "set", "lo", "up")
        for letter, address in networks.items():
            side, leg = f"{bridge(letter)}{number}", f"eth{letter}"
            ip("link", "add", side, "type", "veth", "peer", "name", leg, "netns", self.namespace)
            ip("link", "set", side, "master", bridge(letter), "up")
            self._inside("address", "add", f"{address}/27", "dev", leg)
            self._inside("link", "set", leg, "up")


class Composed:
    """All services of the file, started in the order of `docker compose up`."""

    def __init__(self, place: Path, environment_file: Path, *, tls: Path) -> None:
        self._place, self._tls = place, tls
        self.file: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
        self.given = dev_env.parse(environment_file.read_text())
        self.containers: dict[str, Container] = {}
        self._letters = {name: chr(ord("a") + place) for place, name in enumerate(self.file["networks"])}
        self.services: dict[str, Any] = self.file["services"]
        self.postgres = Postgres(place)
        self._app = _image(place)

    def __enter__(self) -> Self:
        remove_leftovers()
        for name, letter in self._letters.items():
            ip("link", "add", bridge(letter), "type", "bridge")
            ip("link", "set", bridge(letter), "up")
            if not (self.file["networks"][name] or {}).get("internal"):
                ip("address", "add", f"{self._address(name, 30)}/27", "dev", bridge(letter))
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them in reverse order: the stores were started first."""
        for container in reversed(self.containers.values()):
            container.stop()
        remove(os.getpid())

    def _address(self, network: str, number: int) -> str:
        return f"{PREFIX}.{os.getpid() % 256}.{32 * list(self._letters).index(network) + number}"

    def gateway(self, network: str) -> str:
        """Return this host's address in a network that leads out."""
        return self._address(network, 30)

    def published(self, service: str) -> str:
        """Return the address behind its published ports. Docker publishes nothing that is only on internal networks."""
        for network in self.services[service]["networks"]:
            if not (self.file["networks"][network] or {}).get("internal"):
                return self._address(network, self.containers[service]._number)
        raise SystemExit(f"{service} publishes ports and has no network that leads out")

    def address(self, service: str, network: str) -> str:
        return self.containers[service].addresses[self._letters[network]]

    # Life

    def up(self, *names: str) -> None:
        for name in names or [name for name, one in self.services.items() if "profiles" not in one]:
            self._ensure(name)
        for name in names or self.services:
            if name in self.containers and "healthcheck" in self.services[name]:
                self._await(name, "service_healthy")

    def join(self, name: str, *networks: str) -> Container:
        """Plug one of the operator's own services into networks of the file."""
        number = len(self.containers) + 1
        legs = {self._letters[network]: self._address(network, number) for network in networks}
        self.containers[name] = Container(name, number, legs)
        return self.containers[name]

    def _ensure(self, name: str) -> None:
        if name in self.containers:
            return
        for awaited, how in self.services[name].get("depends_on", {}).items():
            self._ensure(awaited)
            self._await(awaited, how["condition"])
        container = self.join(name, *self.services[name]["networks"])
        for path, value in self.services[name].get("sysctls", {}).items():
            with container.entered():
                Path("/proc/sys", *path.split(".")).write_text(value)
        {"postgres": self._start_postgres, "valkey": self._start_valkey}.get(name, self._start)(name)

    def _start(self, name: str) -> None:
        service, container = self.services[name], self.containers[name]
        container.start(
            name,
            self._entering(name, service.get("command") or _commands()[name]),
            self.environment(name),
            log=self.log(name),
            directory=Path("/"),
        )

    def _start_postgres(self, name: str) -> None:
        self.postgres.prepare()
        (self.postgres.data / "pg_hba.conf").write_text(
            "local all all trust\nhost all all all scram-sha-256\n"
        )
        child, container = self.postgres.child(), self.containers[name]
        container.start(
            name,
            [*child.argv, "-c", f"listen_addresses={container.address}"],
            {**clean_environment(), **child.environment},
            log=self.log(name),
            directory=Path("/"),
            account=child.account,
        )
        self._until(self.postgres.accepts_connections, "PostgreSQL did not start")
        subprocess.run(
            ["sh", str(DEPLOY / "postgres" / "roles.sh")],  # what the image runs when a cluster begins
            env={
                **self.environment(name),
                "PATH": f"{self.postgres.programs}:{SYSTEM_PATH}",
                "PGHOST": str(self.postgres.sockets),
            },
            check=True,
            capture_output=True,
        )

    def _start_valkey(self, name: str) -> None:
        """Start Valkey as the image builds it, without protected mode."""
        container, command = self.containers[name], self.services[name]["command"]
        container.start(
            name,
            [str(program()), *command[1:], "--bind", container.address, "--protected-mode", "no"],
            clean_environment(),
            log=self.log(name),
            directory=self._place,
        )

    def _await(self, name: str, condition: str) -> None:
        process = self.containers[name].processes[name]
        if condition == "service_completed_successfully":
            if process.wait(PATIENCE):
                raise SystemExit(f"{name} failed:\n{self.log(name).read_text()[-2000:]}")
        elif condition == "service_healthy":
            self._until(lambda: self.is_healthy(name), f"{name} is not healthy: {self.said(name)}")

    def is_healthy(self, name: str) -> bool:
        """As its health check says; a store's is a program of its image, so the store is asked in another way."""
        if self.containers[name].processes[name].poll() is not None:
            raise SystemExit(f"{name} ended: {self.said(name)}")
        if name == "postgres":
            return self.postgres.accepts_connections()
        if name == "valkey":
            return True
        return self.run(name, *self.services[name]["healthcheck"]["test"][1:]).returncode == 0

    def _until(self, condition: Any, failure: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(failure)
            time.sleep(0.5)

    # What a container is made of

    def environment(self, name: str) -> dict[str, str]:
        """Return the image's own variables, then those of the service's env file, then those of its `environment`."""
        service = self.services[name]
        image = {"PATH": SYSTEM_PATH}
        if "env_file" in service:
            image |= _image_environment() | self.given
        stated = {key: self._filled(str(value)) for key, value in service.get("environment", {}).items()}
        return {**image, **stated}

    def _filled(self, text: str) -> str:
        given = self.given
        return re.sub(
            r"\$\{(\w+)(?::[?-]([^}]*))?\}", lambda one: given.get(one[1]) or one[2] or given[one[1]], text
        )

    def _entering(self, name: str, command: Sequence[str]) -> list[str]:
        root = self._place / "roots" / name
        root.mkdir(parents=True, exist_ok=True)
        ours = "env_file" in self.services[name]
        script = ENTER.format(
            root=shlex.quote(str(root)),
            binds="\n".join(_bind(*one) for one in self._binds(name, ours=ours)),
            privileges=f"--reuid {UID} --regid {UID} --clear-groups --no-new-privs --bounding-set -all"
            if ours
            else "",
            directory="/app" if ours else "/",
        )
        return ["unshare", "--mount", "sh", "-c", script, "sh", *command]

    def _binds(self, name: str, *, ours: bool) -> Iterator[tuple[Path, str, bool]]:
        """Yield what is mounted where, and whether the container may write there."""
        yield self._hosts(name), "etc/hosts", False
        for table, ours_there in (
            ("passwd", f"auth:x:{UID}:{UID}::/nonexistent:/usr/sbin/nologin"),
            ("group", f"auth:x:{UID}:"),
        ):
            yield self._accounts(table, ours_there), f"etc/{table}", False
        base = Path(sys.base_prefix).resolve()
        if not base.is_relative_to("/usr"):
            yield base, str(base)[1:], False
        if ours:
            yield self._app, "app", False
            yield Path(sys.prefix), "venv", False
        if name == "proxy":
            yield self._nginx(), "etc/nginx", False
        for volume in self.services[name].get("volumes", ()):
            source, target = volume.removesuffix(":ro").rsplit(":", 1)
            if not target.startswith("/etc/nginx/"):
                yield self._volume(source), target[1:], not volume.endswith(":ro")

    def _volume(self, source: str) -> Path:
        if source.startswith("./"):
            return DEPLOY / source
        kept = self._place / "volumes" / source
        kept.mkdir(parents=True, exist_ok=True)
        os.chown(kept, UID, UID)
        kept.chmod(0o700)
        return kept

    def _hosts(self, name: str) -> Path:
        """Write the names that Docker's resolver would know: those of each service with a common network."""
        lines = ["127.0.0.1 localhost"]
        for place, other in enumerate(self._started(), 1):
            shared = [one for one in self.services[name]["networks"] if one in self._networks(other)]
            if shared:
                lines.append(f"{self._address(shared[0], place)} {other}")
        path = self._place / f"{name}.hosts"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _started(self) -> list[str]:
        return list(self.containers)

    def _networks(self, name: str) -> list[str]:
        letters = {letter: network for network, letter in self._letters.items()}
        return [letters[letter] for letter in self.containers[name].addresses]

    def _accounts(self, table: str, ours: str) -> Path:
        """Return this machine's passwd or group file, with the image's account added."""
        path = self._place / table
        path.write_text(f"{Path('/etc', table).read_text()}{ours}\n")
        return path

    def _nginx(self) -> Path:
        """Return the image's /etc/nginx, with the files that the service mounts into it."""
        place = self._place / "etc-nginx"
        (place / "conf.d").mkdir(parents=True, exist_ok=True)
        (place / "nginx.conf").write_text(NGINX_CONF)
        for volume in self.services["proxy"]["volumes"]:
            source, target = volume.removesuffix(":ro").rsplit(":", 1)
            where = place / Path(target).relative_to("/etc/nginx")
            if source.startswith("./"):
                where.write_text(nginx.as_understood_here((DEPLOY / source).read_text()))
            else:
                shutil.copytree(self._tls, where, dirs_exist_ok=True)
        return place

    # Talking to it

    def run(self, name: str, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command as `docker compose exec` does: beside the service's process, with the same networks and
        environment.
        """
        with self.containers[name].entered():
            return subprocess.run(
                self._entering(name, command),
                env={**self.environment(name), **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE,
                check=False,
            )

    def ask(
        self, who: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Any:
        """Call `http://service:port/path` from a container; return the answer, already read, with `status` and
        `text`.
        """
        found = re.fullmatch(r"http://(\w+):(\d+)(/.*)", url)
        if found is None:
            raise ValueError(url)
        shared = next(one for one in self._networks(who) if one in self._networks(found[1]))
        with self.containers[who].entered():
            connection = http.client.HTTPConnection(self.address(found[1], shared), int(found[2]), timeout=20)
            connection.connect()
        named_host = {"Host": f"{found[1]}:{found[2]}", "Content-Type": "application/json"}
        connection.request("POST" if body else "GET", found[3], body, {**named_host, **(headers or {})})
        answer: Any = connection.getresponse()
        answer.text = answer.read().decode()
        connection.close()
        return answer

    def log(self, name: str) -> Path:
        return self._place / f"{name}.log"

    def said(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")[-2000:]


def _bind(source: Path, target: str, writable: bool) -> str:
    made, place = shlex.quote(str(source)), shlex.quote(target)
    make = (
        f"mkdir -p {place}"
        if source.is_dir()
        else f"mkdir -p $(dirname {place}) && {{ [ -e {place} ] || : > {place}; }}"
    )
    only = "" if writable else f" && mount -o remount,bind,ro {place}"
    return f"{make}; mount --bind {made} {place}{only}"


def _image(place: Path) -> Path:
    """Build the image's /app: this directory without what .dockerignore lists, and the admin's collected style
    sheets.
    """
    ignored = [line.rpartition("/")[2] for line in (ROOT / ".dockerignore").read_text().split()]
    app = place / "app"
    shutil.copytree(ROOT, app, ignore=shutil.ignore_patterns(*ignored))
    done = subprocess.run(
        [sys.executable, "deploy/collect_static.py"],
        cwd=app,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"The image cannot be made: {done.stdout}{done.stderr}")
    return app


def _image_environment() -> dict[str, str]:
    (line,) = re.findall(r"^ENV (.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    pairs = dict(one.split("=", 1) for one in shlex.split(line))
    return {name: value.replace("$PATH", SYSTEM_PATH) for name, value in pairs.items()}


def _commands() -> dict[str, list[str]]:
    """Return the commands that other images start by default."""
    return {
        "proxy": [nginx.program() or "nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"],
        "prometheus": [
            shutil.which("prometheus") or "prometheus",
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
        ],
    }
