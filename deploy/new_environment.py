"""Print the environment of a new installation, with fresh secrets: `python deploy/new_environment.py HOST`.

With --output it is written to a file that only you can read; an existing file is never overwritten, as its secrets
would be lost. Values that only you know are CHANGE-ME: `manage.py check --deploy` names what is left. With --compose it
is the environment of deploy/compose.yaml, and includes its databases and their passwords.
"""

import argparse
import base64
import os
import re
import secrets
import sys
from datetime import UTC, datetime

ALGORITHMS = ("HS256", "ES256", "EdDSA")
HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
OWN_STORES = """\
# CHANGE what follows
DATABASE_URL='postgresql://auth_app:CHANGE-ME@CHANGE-ME/auth'
DATABASE_MIGRATE_URL='postgresql://auth_owner:CHANGE-ME@CHANGE-ME/auth'
REDIS_URL='redis://CHANGE-ME:6379/0'
"""


def new_environment(host: str, *, sign_with: str = "HS256", compose: bool = False) -> str:
    """Return the lines of an environment file that a shell, systemd and Docker all read in the same way."""
    kid = datetime.now(UTC).strftime("k%Y%m%d")
    return f"""\
DJANGO_SETTINGS_MODULE=config.settings.production
SECRET_KEY='{_text()}'
JWT_KEYS='{kid}:{sign_with}:{_signing_key(sign_with)}'
REFRESH_TOKEN_KEYS='{kid}:{_key()}'
FIELD_ENCRYPTION_KEYS='{kid}:{_key()}'
MAIL_TOKEN_KEYS='{_text()}'
LEDGER_DIGEST_KEYS='{_text()}'
TOKEN_ISSUER='https://{host}'
PUBLIC_BASE_URL='https://{host}'
ALLOWED_HOSTS='{host}'
TRUSTED_PROXY_COUNT=1
# Services reach it by this name, staff by a tunnel: ssh -L 8002:127.0.0.1:8002
INTERNAL_ALLOWED_HOSTS='internal,localhost,127.0.0.1'
INTERNAL_TRUSTED_PROXY_COUNT=0
ADMIN_BASE_URL='http://localhost:8002'
ADMIN_ALLOWED_HOSTS='localhost,127.0.0.1'
ADMIN_TRUSTED_PROXY_COUNT=0
# A port of every process for Prometheus, 9800 to 9804: an address that it reaches and strangers do not
METRICS_BIND=127.0.0.1
{_passwords() if compose else OWN_STORES}\
EMAIL_URL='smtp+tls://CHANGE-ME:CHANGE-ME@CHANGE-ME:587'
MAIL_FROM='no-reply@{host}'
"""


def _passwords() -> str:
    names = ("POSTGRES_PASSWORD", "AUTH_OWNER_PASSWORD", "AUTH_APP_PASSWORD")
    return "".join(f"{name}='{_text()}'\n" for name in names) + "# CHANGE what follows\n"


def _signing_key(algorithm: str) -> str:
    """Return a shared secret, or a private key of the algorithm, whose public half services verify with."""
    if algorithm == "HS256":
        return _key()
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == "EdDSA"
        else ec.generate_private_key(ec.SECP256R1())
    )
    return _base64(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _text() -> str:
    return secrets.token_urlsafe(48)


def _key() -> str:
    return _base64(secrets.token_bytes(32))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _host(text: str) -> str:
    if not HOST.fullmatch(text):
        raise argparse.ArgumentTypeError("not a host name; expected something like auth.example.com")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("host", type=_host, help="the name under which people reach the service")
    parser.add_argument(
        "--sign-with", choices=ALGORITHMS, default="HS256", help="how access tokens are signed"
    )
    parser.add_argument("--compose", action="store_true", help="for deploy/compose.yaml")
    parser.add_argument("--output", metavar="FILE", help="a new file, such as production.env")
    asked = parser.parse_args()
    text = new_environment(asked.host, sign_with=asked.sign_with, compose=asked.compose)
    if asked.output is None:
        sys.stdout.write(text)
    else:
        _write(asked.output, text)


def _write(path: str, text: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.exit(
            f"{path} exists, and is left as it is: without its secrets nothing sealed with them can be read."
        )
    except OSError as error:
        sys.exit(f"{path} cannot be written: {error.strerror}.")
    with os.fdopen(file, "w") as opened:
        opened.write(text)


if __name__ == "__main__":
    main()
