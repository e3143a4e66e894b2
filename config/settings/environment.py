"""Reads the environment variables that config/settings/table.py lists. A refusal names the variable, never its
value.
"""

import base64
import binascii
import builtins
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from email.utils import getaddresses
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path, PurePath
from typing import Any, TypeVar
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from config.peers import UNIX, Peers
from config.settings.table import TABLE, TIME, Limit, Time, Variable, Whole, Word, time_of


class Environment:
    """Reads the variables of this process literally: a `$` in a value does not refer to another variable.

    If a variable is not set, or is an empty text, and no default is given here, the table's default applies.
    """

    def str(self, variable: builtins.str, default: builtins.str | None = None) -> builtins.str:
        """Return the text without white space around it: files of secrets end with a line feed, or with `\\r`."""
        said = os.environ.get(variable, "").strip()
        return said or (TABLE[variable].default if default is None else default)

    def list(self, variable: builtins.str, *, between: builtins.str = ",") -> builtins.list[builtins.str]:
        """Return the parts separated by commas, or by `between`, without surrounding white space.

        An empty list names nothing: the default applies only if the variable is not set.
        """
        text = os.environ.get(variable, TABLE[variable].default)
        return [part.strip() for part in text.split(between) if part.strip()]


env = Environment()

MINIMUM_SECRET_BYTES = 32
DEFAULT_LOOKING = ("changeme", "change-me", "django-insecure", "secret-key", "example", "password")
HIGHEST_PORT = 65535

_seen: dict[str, str] = {}


def refuse(variable: str, reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{variable} {reason}")


def check_secret(variable: str, value: str) -> str:
    """Raise ImproperlyConfigured for a secret that is empty, short, a well-known default, or used by another
    variable.
    """
    if not value:
        raise refuse(variable, "is not set. It has no default; see docs/configuration.md.")
    if len(value.encode()) < MINIMUM_SECRET_BYTES or len(set(value)) < 8:
        raise refuse(
            variable, f"is too short or too simple: use at least {MINIMUM_SECRET_BYTES} random bytes."
        )
    if any(word in value.lower() for word in DEFAULT_LOOKING):
        raise refuse(variable, "looks like a default or an example value. Make a random one.")
    user = _seen.setdefault(value.rstrip("="), variable)  # base64 with and without padding is the same secret
    if user != variable:
        raise refuse(variable, f"has the same value as {user}. Every secret must be different.")
    return value


def sender(variable: str, default: str | None = None) -> str:
    """Return one address, with or without a name. An unquoted name with a comma is refused: it would be two
    addresses.
    """
    text = env.str(variable, default)
    found = getaddresses([text])
    if text and not (text.isprintable() and len(found) == 1 and "@" in found[0][1]):
        raise refuse(
            variable,
            'must be one address, such as no-reply@example.com or "Acme, Inc." <no-reply@example.com>.',
        )
    return text


_WORDS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def boolean(variable: str) -> bool:
    """Return true or false. Any other word is refused, so that a typing error is not read as false."""
    word = env.str(variable).lower()
    if word not in _WORDS:
        raise refuse(variable, "must be true or false.")
    return _WORDS[word]


_WHOLE, _DECIMAL = re.compile(r"-?[0-9]{1,18}"), re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")
Row = TypeVar("Row", bound=Variable)


def _row(variable: str, kind: type[Row]) -> Row:
    row = TABLE[variable]
    if not isinstance(row, kind):
        raise TypeError(f"{variable} is not in the table as a {kind.__name__}.")
    return row


def integer(variable: str, *, default: int | None = None) -> int:
    """Return the variable's whole number, or the default if it is empty or not set."""
    return int(_number(variable, _WHOLE, "a whole number", default))


def decimal(variable: str) -> float:
    """Return the variable's number, such as 1.5, or the default if it is empty or not set."""
    return float(_number(variable, _DECIMAL, "a number such as 1.5", None))


def _number(variable: str, form: re.Pattern[str], what: str, default: int | None) -> str:
    row = _row(variable, Whole)
    text = env.str(variable, None if default is None else str(default))
    if not form.fullmatch(text) or not row.least <= float(text) <= row.most:
        raise refuse(variable, f"must be {what}, {row.bounds}.")
    return text


def duration(variable: str) -> timedelta:
    """Return the variable's duration, such as 15m, or the default if it is empty or not set."""
    row = _row(variable, Time)
    text = env.str(variable)
    if not TIME.fullmatch(text) or not row.least <= time_of(text) <= row.most:
        raise refuse(variable, f"must be a time such as 90s, 15m, 12h or 30d, {row.bounds}.")
    return time_of(text)


def limit(variable: str) -> tuple[int, ...]:
    """Return a rule of RATE_LIMITS: how many in how many seconds, and for pauses also after how many and how long."""
    row = _row(variable, Limit)
    pauses = (integer(row.pause[0]), _seconds(duration(row.pause[1]))) if row.pause else ()
    return (integer(variable), _seconds(row.within), *pauses)


def _seconds(time: timedelta) -> int:
    return int(time.total_seconds())


def choice(variable: str) -> str:
    """Return one of the allowed words; the first one if the variable is empty or not set."""
    row = _row(variable, Word)
    word = env.str(variable)
    if word not in row.among:
        raise refuse(variable, f"must be {row.bounds}.")
    return word


def ip(variable: str) -> str:
    """Return the variable's IP address; "" if it is not set."""
    text = env.str(variable)
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise refuse(variable, "must be an IP address, such as 127.0.0.1 or fd00::1.") from None


def refuse_embedded(variable: str, socket: str, *, var_dir: Path) -> None:
    """Raise ImproperlyConfigured for a socket below VAR_DIR, /tmp or /var/tmp, where script/server's servers listen."""
    if any(PurePath(socket).is_relative_to(place) for place in (var_dir, "/tmp", "/var/tmp")):  # noqa: S108
        raise refuse(variable, "names an embedded or temporary server, which production does not accept.")


def _parts(variable: str) -> list[str]:
    parts = env.list(variable, between=";")
    if not parts:
        check_secret(variable, "")
    return parts


def secrets_list(variable: str) -> list[str]:
    """Return the secrets in `new;old;older`: the first signs, all of them verify."""
    return [check_secret(variable, value) for value in _parts(variable)]


@dataclass(frozen=True)
class KeyEntry:
    """One key of a ring: its id, the only algorithm that it may be used with, and its raw material."""

    kid: str
    algorithm: str
    material: bytes


def key_ring(variable: str, *, algorithm: str | None = None) -> list[KeyEntry]:
    """Return the keys in `kid:ALG:base64url;...` (`kid:base64url;...` if `algorithm` is given). The first signs, all of
    them verify.
    """
    entries = [_key_entry(variable, part, algorithm) for part in _parts(variable)]
    if len({entry.kid for entry in entries}) != len(entries):
        raise refuse(variable, "uses the same key id twice.")
    return entries


def _key_entry(variable: str, part: str, algorithm: str | None) -> KeyEntry:
    fields = part.split(":")
    if algorithm is not None:
        fields.insert(1, algorithm)
    if len(fields) != 3 or not fields[0]:
        raise refuse(variable, "must have the form kid:ALG:base64url;...")
    kid, name, encoded = fields
    check_secret(variable, encoded)
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        material = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise refuse(variable, "contains a key that is not valid base64url.") from None
    if len(material) < MINIMUM_SECRET_BYTES:
        raise refuse(variable, f"contains a key shorter than {MINIMUM_SECRET_BYTES} bytes.")
    return KeyEntry(kid, name, material)


def postgres(variable: str, url: str, *, kind: str = "read-write") -> dict[str, Any]:
    """Return Django's settings for the PostgreSQL that a URL names, read as libpq reads it.

    `?host=/directory` names a Unix socket. Several servers (`//a:5432,b:5432/name`) are tried in order
    (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING). Only a server of the required kind is
    used, even if there is just one, unless `target_session_attrs` says otherwise: a standby that has not been promoted
    serves nobody.
    """
    said = _conninfo(variable, url.strip())
    host = said.pop("host", "")
    servers = (said.get("hostaddr") or host).split(",")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": said.pop("dbname"),
        "USER": said.pop("user", ""),
        "PASSWORD": said.pop("password", ""),
        "HOST": host,
        "PORT": _ports(variable, said.pop("port", ""), servers),
        "OPTIONS": {"target_session_attrs": kind, **said},
    }


def _conninfo(variable: str, url: str) -> dict[str, Any]:
    try:
        said: dict[str, Any] = dict(conninfo_to_dict(url))
    except (psycopg.ProgrammingError, UnicodeError):  # libpq's message repeats the password
        raise refuse(
            variable,
            "is not a valid URL. Write %25 for a % in the user or password, and only options of libpq after the ?.",
        ) from None
    if not url.startswith(("postgres://", "postgresql://")) or not said.get("dbname"):
        raise refuse(
            variable, "must be a postgresql:// URL with a database name; no other database is supported."
        )
    # libpq ends the password at the first @, or the host at the first /: the rest would be shown as part of the
    # address.
    if "@" in said.get("host", "") or "@" in url.partition("://")[2].partition("/")[2].partition("?")[0]:
        raise refuse(
            variable,
            "has an @ in its host or path. Write %40 and %2F for an @ and a / in the user or password.",
        )
    return said


def _ports(variable: str, port: str, servers: list[str]) -> str:
    """Return one port for all servers, one for each, or "" if all use the default."""
    ports = port.split(",")
    if len(servers) > 1 and not all(servers):
        raise refuse(variable, "names several servers, one of which has no host.")
    if len(ports) not in {1, len(servers)} or not all(_is_port(one) for one in ports if one):
        raise refuse(variable, f"needs one port from 1 to {HIGHEST_PORT} for all hosts, or one for each.")
    return ",".join(one or "5432" for one in ports) if any(ports) else ""


# Django's settings for each kind of connection to an SMTP server.
_MAIL_SCHEMES: dict[str, dict[str, Any]] = {
    "smtp": {"EMAIL_USE_TLS": False, "EMAIL_USE_SSL": False},
    "smtp+tls": {"EMAIL_USE_TLS": True, "EMAIL_USE_SSL": False},
    "smtps": {"EMAIL_USE_TLS": True, "EMAIL_USE_SSL": False},
    "smtp+ssl": {"EMAIL_USE_TLS": False, "EMAIL_USE_SSL": True},
}


def mail_server(variable: str) -> dict[str, Any]:
    """Return Django's settings for the SMTP server that the variable's URL names."""
    try:
        return _mail_server(env.str(variable))
    except ValueError:  # its message repeats the password
        raise refuse(
            variable,
            "must be smtp+tls://user:password@host:587 (or smtp://, smtp+ssl://). "
            "Write %23, %25, %2F, %3F and %40 for #, %, /, ? and @ in the user or password.",
        ) from None


def _mail_server(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    rest = parts.path.strip("/") or parts.query or parts.fragment
    if not url.isprintable() or " " in url or rest or not parts.hostname or parts.netloc.count("@") > 1:
        raise ValueError
    if parts.scheme not in _MAIL_SCHEMES:
        raise ValueError
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or 25,
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        **_MAIL_SCHEMES[parts.scheme],
    }


_REDIS_OPTIONS: dict[str, set[str]] = {
    "redis": set(),
    "rediss": {"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"},
    "unix": {"db", "username", "password"},
}


# Python's names, which Celery's manual uses, for what redis-py calls required, optional and none.
_CERT_REQS = re.compile(r"(?<=[?&]ssl_cert_reqs=)CERT_(REQUIRED|OPTIONAL|NONE)(?=&|$)")
_SEVERAL_REDIS = re.compile(r"[a-z+]*(sentinel|cluster)[a-z+]*://")


def redis_url(variable: str, url: str) -> str:
    """Return the URL of a Redis server, after checking that redis-py and Celery read it in the same way."""
    if _SEVERAL_REDIS.match(url):
        raise refuse(
            variable,
            "must name one server: Sentinel and Cluster are not supported. Use an address that always leads to the "
            "server that accepts writes (HAProxy's, or your provider's).",
        )
    url = _CERT_REQS.sub(lambda found: found[1].lower(), url)
    try:
        _check_redis(url)
    except ValueError:  # its message repeats the password
        raise refuse(
            variable,
            "must be redis://host:port/0, rediss://host:port/0?ssl_ca_certs=/file or unix:///path?db=0. "
            "Write %23, %25, %2F and %3F for #, %, / and ? in the password.",
        ) from None
    return url


def redis_parts(url: str) -> dict[str, Any]:
    """Return what redis-py reads in a URL: `host` and `port`, or `path`; `db`, `username`, `password`, options.

    It is parsed here because importing redis-py would take a command without Redis longer than all other settings.
    Raise ValueError where redis-py does.
    """
    parts = urlsplit(url)
    if parts.scheme not in _REDIS_OPTIONS:
        raise ValueError
    if parts.scheme == "unix":
        found: dict[str, Any] = {"path": unquote(parts.path)}
    else:
        found = {"host": unquote(parts.hostname or ""), "port": parts.port, "db": parts.path.replace("/", "")}
    found |= {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    found |= {name: values[0] for name, values in parse_qs(parts.query).items()}
    said = {name: value for name, value in found.items() if value}
    return said | ({"db": int(said["db"])} if "db" in said else {})


def _check_redis(url: str) -> None:
    parts, said = urlsplit(url), redis_parts(url)
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    if parts.scheme == "unix":
        is_place = "path" in said and (parts.hostname, parts.port) == (None, None)
    else:
        is_place = re.fullmatch("/?[0-9]*", parts.path) is not None
    is_check = options.get("ssl_cert_reqs", "required") in {"required", "optional", "none"}
    if parts.fragment or not (is_place and is_check and options.keys() <= _REDIS_OPTIONS[parts.scheme]):
        raise ValueError


def celery_broker(url: str) -> str:
    """Return Celery's form of the Redis URL, in which `unix://` is `redis+socket://`.

    Without `ssl_cert_reqs` redis-py checks the server's certificate, but kombu does not, so it is added.
    """
    said = redis_parts(url)
    if "path" in said:
        who = ":".join(quote(said.get(name, ""), safe="") for name in ("username", "password"))
        return f"redis+socket://{who}@{quote(said['path'])}?virtual_host={said.get('db', 0)}"
    if url.startswith("rediss://") and "ssl_cert_reqs" not in said:
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
    return url


Network = IPv4Network | IPv6Network
_OWN_MACHINE = [
    ip_network(one) for one in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::/127", "fe80::/10")
]
_HOST, _PORT = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?"), re.compile(r"[1-9][0-9]{0,4}")


def webhook_hosts(variable: str) -> dict[str, tuple[Network, ...]]:
    """Return the hosts that events may be sent to, from `host[:port][=network|network],...`: the key is `host:port`,
    the value the non-public networks in which the host may be.
    """
    entries = {}
    for entry in filter(None, (part.strip() for part in env.str(variable).split(","))):
        place, _, networks = entry.partition("=")
        host, colon, port = place.lower().rpartition(":")
        name, number = (host, port) if colon else (port, "443")
        if not _HOST.fullmatch(name) or not _is_port(number):
            raise refuse(variable, "must have the form host[:port][=network|network],...")
        entries[f"{name}:{int(number)}"] = _networks(variable, networks)
    return entries


def _is_port(text: str) -> bool:
    return bool(_PORT.fullmatch(text)) and int(text) <= HIGHEST_PORT


def _networks(variable: str, text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split("|") if part.strip())
    except ValueError:
        raise refuse(variable, "contains an invalid network; expected something like 10.1.0.0/16.") from None


def peers(variable: str) -> Peers:
    """Return the networks that the variable lists (`10.1.0.0/16,fd00::/8`), and `unix` if it lists Unix sockets."""
    entries = [part.strip() for part in env.str(variable).split(",") if part.strip()]
    named = [UNIX] if UNIX in entries else []
    return (*_networks(variable, "|".join(entry for entry in entries if entry != UNIX)), *named)


_ROLE, _PERMISSION = re.compile(r"[a-z][a-z0-9_-]{0,39}"), re.compile(r"[a-z]+\.[a-z_*]+")


def permissions_by_role(variable: str) -> dict[str, list[str]]:
    """Return the permissions of each role, with * for any letters, from `name=permission,permission...;...`."""
    roles = {}
    for entry in filter(None, (part.strip() for part in env.str(variable).split(";"))):
        role, equals, listed = (part.strip() for part in entry.partition("="))
        permissions = [part.strip() for part in listed.split(",") if part.strip()]
        if not equals or not _ROLE.fullmatch(role) or not all(map(_PERMISSION.fullmatch, permissions)):
            raise refuse(variable, "must have the form name=app.permission,app.permission;...")
        roles[role] = permissions
    return roles


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a listener there: a loopback address or a Unix socket."""
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_own_machine(variable: str, hosts: dict[str, tuple[Network, ...]]) -> None:
    """Raise ImproperlyConfigured for loopback and link-local networks, which include clouds' metadata addresses."""
    for network in (network for networks in hosts.values() for network in networks):
        if any(network.version == own.version and network.overlaps(own) for own in _OWN_MACHINE):
            raise refuse(
                variable, "allows a loopback or link-local network, which production does not accept."
            )
