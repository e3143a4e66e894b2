"""Tests: fixed secrets, real PostgreSQL and Valkey (script/test starts them and sets the two URLs)."""

import os
import tempfile
from pathlib import Path

_FIXED = {
    "SECRET_KEY": "test-only-8b1f6c0e5a7d4923b6e1c4f7a9d2053e",
    "JWT_KEYS": "test1:HS256:dGVzdC1vbmx5LWFjY2Vzcy1zaWduaW5nLWtleS0xMjM0NTY3ODkwYWI",
    "REFRESH_TOKEN_KEYS": "rt1:dGVzdC1vbmx5LXJlZnJlc2gtc2lnbmluZy1rZXktMDk4NzY1NDMyMWNk",
    "MAIL_TOKEN_KEYS": "test-only-mail-5f0c2b7de94a4168a3c1e6d8b7f92041",
    "LEDGER_DIGEST_KEYS": "test-only-ledger-c41d9e27a85b4f03962b7d1e0a6f8c35",
    "FIELD_ENCRYPTION_KEYS": "fe1:dGVzdC1vbmx5LWZpZWxkLWVuY3J5cHRpb24ta2V5LTU2NzhhYmNk",
    "VAR_DIR": tempfile.gettempdir(),
    "PUBLIC_BASE_URL": "https://auth.test",
    "GOOGLE_CLIENT_ID": "web.apps.test,native.apps.test",
    "GOOGLE_CLIENT_SECRET": "test-only-google-secret",
    "GOOGLE_TOKEN_URL": "http://127.0.0.1:9/token",  # nothing listens there: tests start their own provider
    "GOOGLE_JWKS_URL": "http://127.0.0.1:9/keys",
    "MAIL_FROM": "Auth Service <no-reply@auth.test>",
}
for _name, _value in _FIXED.items():
    os.environ[_name] = _value
os.environ.setdefault("DATABASE_URL", "postgresql://postgres@/postgres?host=/tmp")
os.environ.setdefault("REDIS_URL", "unix:///tmp/valkey.sock?db=0")

from config.settings.base import *  # noqa: E402, F403

ENVIRONMENT = "test"
DEBUG = False
SERVING_ROLE = "auth_app"  # tests connect as superuser, and act as this role where it matters
ALLOWED_HOSTS = ["*"]
WHITENOISE_AUTOREFRESH = True  # looks a file up when it is requested, instead of scanning a directory
WHITENOISE_USE_FINDERS = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
# bcrypt's lowest cost: tests assert the work by counting calls, not by waiting.
PASSWORD_HASHERS = [
    "accounts.tests.hashers.CheapBCryptSHA256",
    "accounts.passwords.argon2_alone.OneThreadArgon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "accounts.passwords.imported.PlainBCrypt",
]
STRIPE_CONCURRENCY = 32  # one process stands for many
EVENT_WEBHOOK_PLAIN_HTTP = True
_own = tempfile.TemporaryDirectory(prefix="test-")  # one per process: none waits for another one's tests
METRICS_DIR = Path(_own.name)
PASSWORD_HASHING_TURNS = Path(
    os.environ.get("PASSWORD_HASHING_TURNS") or f"{_own.name}/password-hashing.json"
)
