"""Common settings of all environments; dev, test and production state only where they differ.

Each subject has a file; the rest is here.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from corsheaders.defaults import default_headers

from config.settings.admin import *  # noqa: F403
from config.settings.brand import *  # noqa: F403
from config.settings.brand import OWN_TEMPLATES
from config.settings.database import *  # noqa: F403
from config.settings.environment import (
    boolean,
    celery_broker,
    choice,
    duration,
    env,
    integer,
    ip,
    peers,
    redis_url,
    refuse,
    sender,
    webhook_hosts,
)
from config.settings.google import *  # noqa: F403
from config.settings.hooks import *  # noqa: F403
from config.settings.keys import *  # noqa: F403
from config.settings.keys import JWT_KEYS
from config.settings.limits import *  # noqa: F403
from config.settings.logs import *  # noqa: F403
from config.settings.retention import *  # noqa: F403
from config.settings.schedule import *  # noqa: F403
from config.settings.service import *  # noqa: F403
from config.settings.service import BASE_DIR, LISTENER, SERVICE_NAME, VAR_DIR
from config.settings.stripe import *  # noqa: F403
from config.settings.threads import *  # noqa: F403

# ---------------------------------------------------------------- the listeners
_API_MIDDLEWARE = [
    "config.middleware.RequestFloor",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
]
MIDDLEWARE_BY_LISTENER = {
    "public": [*_API_MIDDLEWARE, "corsheaders.middleware.CorsMiddleware"],
    "internal": _API_MIDDLEWARE,
    "admin": [
        *_API_MIDDLEWARE,
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
}
ROOT_URLCONF = f"config.urls.{LISTENER}"
MIDDLEWARE = MIDDLEWARE_BY_LISTENER[LISTENER]
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
# Services and staff reach their listeners by other host names than the public one.
_HOSTS = {
    "public": env.list("ALLOWED_HOSTS"),
    "internal": env.list("INTERNAL_ALLOWED_HOSTS"),
    "admin": env.list("ADMIN_ALLOWED_HOSTS"),
}
ALLOWED_HOSTS = _HOSTS[LISTENER] or _HOSTS["public"]
# The client's address is the socket's, or the one that this many trusted proxies report, counted from the right. Each
# listener has its own count: a proxy in front of one says nothing about the others.
_PROXY_COUNTS = {
    "public": integer("TRUSTED_PROXY_COUNT"),
    "internal": integer("INTERNAL_TRUSTED_PROXY_COUNT"),
    "admin": integer("ADMIN_TRUSTED_PROXY_COUNT"),
}
TRUSTED_PROXY_COUNT = _PROXY_COUNTS[LISTENER]

# The peers whose connections a listener accepts, by the socket's address, whatever headers say. An empty list accepts
# everyone.
ALLOWED_PEERS = {
    "internal": peers("INTERNAL_ALLOWED_PEERS"),
    "admin": peers("ADMIN_ALLOWED_PEERS"),
}

_ADMIN_APPS = [
    "unfold.apps.BasicAppConfig",
    "accounts.apps.StaffAdminConfig",
    "django.contrib.sessions",
    "django.contrib.messages",
]
INSTALLED_APPS = [
    *(_ADMIN_APPS if LISTENER == "admin" else []),
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts.apps.AccountTables",
    "accounts.apps.FactorTables",
    "accounts.apps.SocialTables",
    "allauth.socialaccount.providers.google",
    "djstripe",
    "accounts",
    "credits",
    "billing",
    "config",
]

# ---------------------------------------------------------------- Redis or Valkey: limits and the queue, never truth
REDIS_URL = env.str("REDIS_URL")
if not REDIS_URL:
    raise refuse(
        "REDIS_URL",
        "is not set. It must be a redis://, rediss:// or unix:///path URL (script/server starts an "
        "embedded server).",
    )

REDIS_URL = redis_url("REDIS_URL", REDIS_URL)
# Celery would use these by itself, while limits, /readyz and /metrics kept using the other server.
for _variable in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
    if env.str(_variable, default=""):
        raise refuse(
            _variable, "is not supported: the queue is the Redis or Valkey server that REDIS_URL names."
        )
TASK_APPLICATION = (
    "config.celery.app"  # loaded by modules with tasks or a nudge for them (accounts/kit/nudge.py)
)
CELERY_BROKER_URL = celery_broker(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = integer("WORKER_CONCURRENCY")
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
    "visibility_timeout": 300,
}
CELERY_TASK_TIME_LIMIT = 120
CELERY_TIMEZONE = "UTC"

# ---------------------------------------------------------------- the HTTP floor
REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.Deny"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["config.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["config.parsing.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.parsing.FixedNegotiation",
    "DEFAULT_PAGINATION_CLASS": "config.paging.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "config.openapi.Schema",
    "EXCEPTION_HANDLER": "config.errors.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
BODY_LIMIT = 64 * 1024
LARGE_BODY_LIMIT = 1024 * 1024  # batch and webhook
DATA_UPLOAD_MAX_MEMORY_SIZE = LARGE_BODY_LIMIT
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS")
# The cookie that binds a Google sign-in to its browser, the only cookie that the API reads, must get through.
CORS_ALLOW_CREDENTIALS = True
# Besides the usual headers of browsers: ids of requests and traces, which monitoring SDKs add to every call.
CORS_ALLOW_HEADERS = [
    *default_headers,
    "idempotency-key",
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
]
CORS_EXPOSE_HEADERS = ["X-Request-ID", "Retry-After", "Idempotency-Replayed", "RateLimit-Policy", "RateLimit"]

# ---------------------------------------------------------------- metrics
# Where the processes of this host keep their counts: one directory for all those that this host's /metrics shows.
METRICS_DIR = Path(env.str("METRICS_DIR", default=str(VAR_DIR / "metrics")))
# The address at which every process answers Prometheus; without it only /metrics of the internal listener does. Each
# kind has a port (config/metrics_port.py), this one and the next four.
METRICS_BIND = ip("METRICS_BIND")
METRICS_PORT = integer("METRICS_PORT")

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
X_FRAME_OPTIONS = "DENY"

# ---------------------------------------------------------------- accounts
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "accounts.passwords.argon2_alone.OneThreadArgon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "accounts.passwords.imported.PlainBCrypt",
]
AUTH_PASSWORD_VALIDATORS = [{"NAME": "accounts.passwords.policy.HeldToPolicy"}]  # for Django's commands only
PASSWORD_MAX_LENGTH = 256
PASSWORD_MIN_LENGTH = integer("PASSWORD_MIN_LENGTH")
BREACHED_PASSWORDS_URL = env.str("BREACHED_PASSWORDS_URL")
LOGIN_REQUIRES_VERIFIED_EMAIL = boolean("LOGIN_REQUIRES_VERIFIED_EMAIL")

# simplejwt's settings are the single source of lifetimes, algorithm and claims.
TOKEN_ISSUER = env.str("TOKEN_ISSUER")
TOKEN_AUDIENCE = env.str("TOKEN_AUDIENCE")
SIMPLE_JWT: dict[str, Any] = {
    "ALGORITHM": JWT_KEYS[0].algorithm,
    "SIGNING_KEY": JWT_KEYS[0].material,
    "ISSUER": TOKEN_ISSUER,
    "AUDIENCE": TOKEN_AUDIENCE,
    "ACCESS_TOKEN_LIFETIME": duration("ACCESS_TOKEN_LIFETIME"),
    "REFRESH_TOKEN_LIFETIME": duration("REFRESH_TOKEN_LIFETIME"),
    "USER_ID_FIELD": "id",
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": None,  # the header says it: typ at+jwt (RFC 9068) or rt+jwt
    "LEEWAY": 30,
    "UPDATE_LAST_LOGIN": False,
}
SESSION_ABSOLUTE_LIFETIME = duration("SESSION_ABSOLUTE_LIFETIME")
SESSIONS_PER_USER = integer("SESSIONS_PER_USER")
REFRESH_GRACE = duration("REFRESH_GRACE")
REFRESH_RETRY = timedelta(minutes=integer("REFRESH_RETRY_MINUTES"))
DEVICE_TOKEN_LIFETIME = duration("DEVICE_TOKEN_LIFETIME")
EXCHANGE_CODE_LIFETIME = duration("EXCHANGE_CODE_LIFETIME")
RECENT_SIGN_IN = duration("RECENT_SIGN_IN")
DELETION_GRACE = duration("DELETION_GRACE")
VERIFY_EMAIL_LIFETIME = duration("VERIFY_EMAIL_LIFETIME")
EMAIL_CODE_LIFETIME = duration("EMAIL_CODE_LIFETIME")
PASSWORD_RESET_LIFETIME = duration("PASSWORD_RESET_LIFETIME")
CHANGE_EMAIL_LIFETIME = duration("CHANGE_EMAIL_LIFETIME")
UNDO_EMAIL_CHANGE_LIFETIME = duration("UNDO_EMAIL_CHANGE_LIFETIME")
STAFF_ENROL_LIFETIME = duration("STAFF_ENROL_LIFETIME")

# ---------------------------------------------------------------- second factors (allauth's own names)
# The users whose sessions must have shown a second factor before they may do more than enrol one.
MFA_REQUIRED = choice("MFA_REQUIRED")
MFA_ADAPTER = "accounts.factors.adapter.SealingAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_TOTP_TOLERANCE = 1  # one step of 30 s each way
MFA_RECOVERY_CODE_COUNT = 10
MFA_RECOVERY_CODE_DIGITS = 16
MFA_TOKEN_LIFETIME = duration("MFA_TOKEN_LIFETIME")
TOTP_ENROLMENT_LIFETIME = duration("TOTP_ENROLMENT_LIFETIME")
MOST_PASSKEYS = integer("MOST_PASSKEYS")
PASSKEY_CHALLENGE_LIFETIME = duration("PASSKEY_CHALLENGE_LIFETIME")
FACTOR_RESET_DELAY = duration("FACTOR_RESET_DELAY")
# Passkeys are bound to one name and a list of pages for good: a new name orphans them all. Both are derived from the
# front end's address. A loopback address is not a valid name (WebAuthn, 5.1.2), so your own machine is called
# localhost.
WEBAUTHN_RP_ID = env.str("WEBAUTHN_RP_ID")
WEBAUTHN_ORIGINS = env.list("WEBAUTHN_ORIGINS")

# ---------------------------------------------------------------- credits
HOLD_LIFETIME = duration("HOLD_LIFETIME")
REFUND_LIFETIME = duration("REFUND_LIFETIME")
APPROVAL_LIFETIME = duration("APPROVAL_LIFETIME")
# The amount that one admin may adjust on a day (UTC) without a second person: the sum of the absolute amounts.
CREDITS_APPROVAL_LIMIT = integer("CREDITS_APPROVAL_LIMIT")
# The same for refunds, in the smallest unit of each currency.
REFUND_APPROVAL_LIMIT = integer("REFUND_APPROVAL_LIMIT")

# ---------------------------------------------------------------- mail
DEFAULT_FROM_EMAIL = sender("MAIL_FROM")
EMAIL_TIMEOUT = 10

# ---------------------------------------------------------------- events for other services
EVENT_WEBHOOK_HOSTS = webhook_hosts("EVENT_WEBHOOK_HOSTS")
EVENT_WEBHOOK_PLAIN_HTTP = False  # to loopback addresses, in development and tests
# Seconds before each retry of a failed delivery; after the last one it becomes a dead letter. 16 hours in total.
EVENT_DELIVERY_DELAYS = [5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800]

# ---------------------------------------------------------------- text, time, files
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "config.formats"
# The languages of mails and pages (locale/); everyone else reads English.
MAIL_LANGUAGES = ["en", "de", "es", "fr", "it"]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGES = [("en", "English"), ("it", "Italiano"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español")]
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(VAR_DIR / "static")))
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [*OWN_TEMPLATES, BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
# ---------------------------------------------------------------- the OpenAPI document
SPECTACULAR_SETTINGS = {
    "TITLE": SERVICE_NAME,
    "VERSION": "1",
    "POSTPROCESSING_HOOKS": [],
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/v1",
    "SORT_OPERATIONS": False,  # in the order of the URLconfs instead
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "DISABLE_ERRORS_AND_WARNINGS": False,
}
