"""Prints the environment of a new installation, with fresh secrets: `python deploy/new_environment.py HOST`."""

import base64
import secrets
import sys
from datetime import UTC, datetime


def new_environment(host: str) -> str:
    kid = datetime.now(UTC).strftime("k%Y%m%d")
    return f"""\
DJANGO_SETTINGS_MODULE=config.settings.production
SECRET_KEY='{_text()}'
JWT_KEYS='{kid}:HS256:{_key()}'
REFRESH_TOKEN_KEYS='{kid}:{_key()}'
FIELD_ENCRYPTION_KEYS='{kid}:{_key()}'
MAIL_TOKEN_KEYS='{_text()}'
LEDGER_DIGEST_KEYS='{_text()}'
ALLOWED_HOSTS='{host}'
PUBLIC_BASE_URL='https://{host}'
TRUSTED_PROXY_COUNT=1
ADMIN_TRUSTED_PROXY_COUNT=0
INTERNAL_TRUSTED_PROXY_COUNT=0
# CHANGE what follows
DATABASE_URL='postgresql://auth_app:PASSWORD@db.example.com/auth'
DATABASE_MIGRATE_URL='postgresql://auth_owner:PASSWORD@db.example.com/auth'
REDIS_URL='redis://redis.example.com:6379/0'
EMAIL_URL='smtp+tls://USER:PASSWORD@mail.example.com:587'
MAIL_FROM='Example <no-reply@{host}>'
"""


def _text() -> str:
    return secrets.token_urlsafe(48)


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    sys.stdout.write(new_environment(sys.argv[1]))
