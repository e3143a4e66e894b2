"""What every environment shares. dev, test and production say only where they differ."""

from datetime import timedelta
from pathlib import Path

from celery.schedules import crontab
from django.templatetags.static import static

from config.settings.environment import (
    boolean,
    celery_broker,
    env,
    integer,
    key_ring,
    postgres,
    refuse,
    secrets_list,
    webhook_hosts,
)

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()

# ---------------------------------------------------------------- who listens, and with what
LISTENERS = ("public", "internal", "admin")
# The admin's apps are the complete set: so it is what manage.py and Celery run with. A web process must say (wsgi.py).
LISTENER = env.str("LISTENER", default="admin")
if LISTENER not in LISTENERS:
    raise refuse("LISTENER", f"must be one of {', '.join(LISTENERS)}.")

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
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
# The client's address is the socket's, or the one that this many trusted proxies report, counted from the right.
TRUSTED_PROXY_COUNT = integer("TRUSTED_PROXY_COUNT", default=0)

_ADMIN_APPS = [
    "unfold.apps.BasicAppConfig",
    "accounts.staff_app.StaffAdminConfig",
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
]

# ---------------------------------------------------------------- secrets
# `new;old;older` of each: the first makes, all are accepted, so that each rotates (manage.py signing_keys).
SECRET_KEY, *SECRET_KEY_FALLBACKS = secrets_list("SECRET_KEY")
JWT_KEYS = key_ring("JWT_KEYS")
REFRESH_TOKEN_KEYS = key_ring("REFRESH_TOKEN_KEYS", algorithm="HS256")
MAIL_TOKEN_KEYS = secrets_list("MAIL_TOKEN_KEYS")
LEDGER_DIGEST_KEYS = secrets_list("LEDGER_DIGEST_KEYS")
FIELD_ENCRYPTION_KEYS = key_ring("FIELD_ENCRYPTION_KEYS", algorithm="A256GCM")
# Columns of texts sealed with them: app.Model.column and the function that gives the context of a row.
SEALED_COLUMNS: dict[str, str] = {
    "mfa.Authenticator.data": "accounts.factors.adapter.context_of",
    "accounts.TOTPEnrolment.secret": "accounts.factors.adapter.context_of",
    "billing.Request.answer": "billing.shop.requests.answer_context",
    "accounts.EventSubscription.secrets": "accounts.events.subscriptions.context_of_secrets",
}
# name=key[:scope,scope...];...   The keys themselves are checked where they are read:
# accounts/service_keys/registry.py.
INTERNAL_API_KEYS = env.str("INTERNAL_API_KEYS", default="")

# ---------------------------------------------------------------- PostgreSQL, the only database
DATABASE_URL = env.str("DATABASE_URL", default="")
DATABASE_MIGRATE_URL = env.str("DATABASE_MIGRATE_URL", default="") or DATABASE_URL
if not DATABASE_URL:
    raise refuse("DATABASE_URL", "is not set: a postgresql:// URL (script/server starts an embedded one).")

# Statements are prepared on the server and connections kept: +43 % and 5x of the throughput (docs/decisions/0003).
# The time-outs turn a stuck database into a 503 instead of a full thread pool.
_SESSION_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=10s -c lock_timeout=3s -c idle_in_transaction_session_timeout=10s"
)
# A host that is cut off or loses its power says no goodbye. Both ends ask each other every second that they say nothing
# and give up after two: here a thread waits no longer for its answer, there the rows of an open transaction are free
# again before the other hosts' lock_timeout. A slow statement is not concerned: the kernel answers for it.
_SILENCE_MILLISECONDS = 2000
_LOST_CLIENT = (
    f"-c tcp_keepalives_idle=1 -c tcp_keepalives_interval=1 -c tcp_user_timeout={_SILENCE_MILLISECONDS}"
)
_CONNECTION = {"CONN_MAX_AGE": None, "DISABLE_SERVER_SIDE_CURSORS": False}


def _database(variable: str, url: str, session_options: str) -> dict[str, object]:
    database = postgres(variable, url)
    database["OPTIONS"] = {
        "connect_timeout": 2,  # for each of several: one that swallows packets is not waited for longer
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "tcp_user_timeout": _SILENCE_MILLISECONDS,
        "application_name": f"auth {LISTENER}",  # in pg_stat_activity and PostgreSQL's log (docs/decisions/0020)
        "server_side_binding": True,
        "prepare_threshold": 5,
        "options": f"{session_options} {_LOST_CLIENT}",
        **database["OPTIONS"],
    }
    return {**database, **_CONNECTION}


DATABASES = {"default": _database("DATABASE_URL", DATABASE_URL, _SESSION_OPTIONS)}
# The role that owns the tables. Only `manage.py migrate` connects with it.
MIGRATION_DATABASE = _database(
    "DATABASE_MIGRATE_URL", DATABASE_MIGRATE_URL, "-c timezone=UTC -c lock_timeout=3s"
)
# The role that serves gets its privileges at each migrate (accounts/upkeep/database_roles.py): rows, and no DDL.
SERVING_ROLE = str(DATABASES["default"]["USER"])
APPEND_ONLY_TABLES = ["credits_credittransaction"]
READ_ONLY_TABLES = ["django_migrations"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES = {"djstripe": "billing.djstripe_migrations"}

# ---------------------------------------------------------------- Redis or Valkey: limits and the queue, never truth
REDIS_URL = env.str("REDIS_URL", default="")
if not REDIS_URL:
    raise refuse(
        "REDIS_URL", "is not set: redis://, rediss:// or unix:///path (script/server starts an embedded one)."
    )

CELERY_BROKER_URL = celery_broker(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
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
CELERY_BEAT_SCHEDULE = {
    "relay-outbox": {"task": "accounts.tasks.relay_outbox", "schedule": 5.0, "options": {"expires": 5}},
    "send-events": {"task": "accounts.tasks.send_events", "schedule": 5.0, "options": {"expires": 5}},
    "purge-rate-limits": {
        "task": "accounts.tasks.purge_rate_limits",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "erase-closed-accounts": {
        "task": "accounts.tasks.erase_closed_accounts",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "apply-factor-resets": {
        "task": "accounts.tasks.apply_factor_resets",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "purge": {"task": "accounts.tasks.purge", "schedule": crontab(minute=40), "options": {"expires": 3600}},
    "summarize-account-days": {
        "task": "accounts.tasks.summarize_days",
        "schedule": 120.0,
        "options": {"expires": 120},
    },
    "sweep-due-credits": {
        "task": "credits.tasks.sweep_due_credits",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "summarize-credit-days": {
        "task": "credits.tasks.summarize_days",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "rank-credit-users": {
        "task": "credits.tasks.rank_users",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "work-stripe-inbox": {"task": "billing.tasks.work_inbox", "schedule": 5.0, "options": {"expires": 5}},
    "carry-out-customer-changes": {
        "task": "billing.tasks.carry_out_changes",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "reconcile-stripe-events": {
        "task": "billing.tasks.reconcile_events",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "reconcile-stripe-nightly": {
        "task": "billing.tasks.reconcile_nightly",
        "schedule": crontab(hour=2, minute=10),
    },
    "tell-of-expiring-cards": {
        "task": "billing.tasks.tell_of_expiring_cards",
        "schedule": crontab(hour=9, minute=40),
    },
    "verify-ledger": {
        "task": "credits.tasks.verify_ledger_nightly",
        "schedule": crontab(hour=3, minute=20),
    },
}

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
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
# The binding cookie of a sign-in with Google, the only one that the API reads, must get through.
CORS_ALLOW_CREDENTIALS = True
CORS_EXPOSE_HEADERS = ["X-Request-ID", "Retry-After", "Idempotency-Replayed", "RateLimit-Policy", "RateLimit"]

# What RequestFloor says about a request is all that is logged of it: Django's own lines would hold the path.
LOGGING_CONFIG = "config.logging.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logging.JSONFormatter"}},
    "filters": {"not scheduled": {"()": "config.logging.NotScheduled"}},
    "handlers": {
        "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "CRITICAL"},
        "django.security": {"level": "CRITICAL"},
        "celery.beat": {"level": "WARNING"},  # that a task is due
        "celery.worker.strategy": {"level": "WARNING"},  # that a task has come
        "celery.app.trace": {"filters": ["not scheduled"]},  # that it is done
        "stripe": {"level": "WARNING"},  # it would log addresses with their queries
    },
}

# ---------------------------------------------------------------- metrics
# Where the processes of this host count: one directory for those that /metrics of this host is to show.
METRICS_DIR = Path(env.str("METRICS_DIR", default=str(VAR_DIR / "metrics")))
METRICS_COLLECTORS = ["accounts.upkeep.queues.standings", "billing.queues.standings"]

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
X_FRAME_OPTIONS = "DENY"

# ---------------------------------------------------------------- accounts
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "accounts.passwords.imported.PlainBCrypt",
]
PASSWORD_MIN_LENGTH = integer("PASSWORD_MIN_LENGTH", default=12)
PASSWORD_MAX_LENGTH = 256
# Per process: hashes at once, requests that may wait for one (each holds a thread), and for how many seconds; else 503.
PASSWORD_HASHING_CONCURRENCY = env.int("PASSWORD_HASHING_CONCURRENCY", default=2)
PASSWORD_HASHING_QUEUE = env.int("PASSWORD_HASHING_QUEUE", default=1)
PASSWORD_HASHING_PATIENCE = env.float("PASSWORD_HASHING_PATIENCE", default=1.5)
LOGIN_REQUIRES_VERIFIED_EMAIL = boolean("LOGIN_REQUIRES_VERIFIED_EMAIL", default=False)

# simplejwt's settings are the one source of lifetimes, algorithm and claims.
TOKEN_ISSUER = env.str("TOKEN_ISSUER", default="auth-service")
TOKEN_AUDIENCE = env.str("TOKEN_AUDIENCE", default="ecosystem")
SIMPLE_JWT = {
    "ALGORITHM": JWT_KEYS[0].algorithm,
    "SIGNING_KEY": JWT_KEYS[0].material,
    "ISSUER": TOKEN_ISSUER,
    "AUDIENCE": TOKEN_AUDIENCE,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=60),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "USER_ID_FIELD": "id",
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": None,  # the header says it: typ at+jwt (RFC 9068) or rt+jwt
    "LEEWAY": 30,
    "UPDATE_LAST_LOGIN": False,
}
SESSION_ABSOLUTE_LIFETIME = timedelta(days=90)
REFRESH_GRACE = timedelta(seconds=60)
RECENT_SIGN_IN = timedelta(minutes=5)
DELETION_GRACE = timedelta(days=14)  # in which a closed account can be had back by signing in

# ---------------------------------------------------------------- second factors (allauth's own names)
MFA_ADAPTER = "accounts.factors.adapter.SealingAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_TOTP_TOLERANCE = 1  # one step of 30 s each way
MFA_RECOVERY_CODE_COUNT = 10
MFA_RECOVERY_CODE_DIGITS = 16
MFA_TOKEN_LIFETIME = timedelta(minutes=5)  # of a sign-in that lacks only its second factor
TOTP_ENROLMENT_LIFETIME = timedelta(minutes=15)
PASSKEY_CHALLENGE_LIFETIME = timedelta(minutes=5)
FACTOR_RESET_DELAY = timedelta(hours=72)
# Passkeys are bound to one name and a list of pages for good: a new name orphans them all. Both come from where the
# front end is. A loopback address is no name (WebAuthn, 5.1.2), so a machine of one's own is called localhost.
WEBAUTHN_RP_ID = env.str("WEBAUTHN_RP_ID", default="")
WEBAUTHN_ORIGINS = env.list("WEBAUTHN_ORIGINS", default=[])

# What happens in other apps with an account, in the same transaction: dotted paths (accounts/hooks.py says when).
ACCOUNT_HOOKS = {
    "block_spending": ["credits.ledger.states.block"],
    "unblock_spending": ["credits.ledger.states.unblock"],
    "remove_sign_in_methods": [
        "accounts.factors.remove_since",
        "accounts.google.accounts.remove_added_since",
    ],
    "close": ["billing.personal.close"],
    "address_changed": ["billing.personal.address_changed"],
    "erase": [
        "accounts.factors.erase",
        "accounts.google.accounts.erase",
        "credits.personal.erase",
        "billing.personal.erase",
    ],
    "owners": ["credits.personal.owners", "billing.personal.owners"],
}
# Sections of GET /v1/auth/me/export that other apps fill: each called with `user_id`, gives what JSON can hold.
ACCOUNT_EXPORTS = {
    "second_factors": "accounts.factors.export",
    "google_accounts": "accounts.google.accounts.exported",
    "credit_balance": "credits.personal.balances",
    "credit_transactions": "credits.personal.transactions",
    "subscriptions": "billing.personal.subscriptions",
}
# How long what is kept is kept, counted from its end (docs/retention.md). accounts/upkeep/retention.py has a rule for
# each.
RETENTION = {
    "unverified_users": timedelta(days=30),  # without credits and without a live session; from registration
    "registrations": timedelta(days=30),  # confirmed or void
    "sessions": timedelta(days=90),  # ended, or not used until they ran out
    "admin_sessions": timedelta(0),
    "mail_tokens": timedelta(days=30),  # used, void or expired
    "address_changes": timedelta(days=30),  # that cannot be undone any more
    "sent_mails": timedelta(days=30),
    "dead_mails": timedelta(days=90),
    "mfa_tokens": timedelta(days=1),  # half sign-ins that ran out
    "passkey_challenges": timedelta(days=1),  # that ran out
    "totp_enrolments": timedelta(days=1),  # that nobody confirmed
    "used_totp_steps": timedelta(days=1),  # minutes after which no code of theirs is accepted anyway
    "factor_resets": timedelta(days=400),  # done or cancelled
    "audit": timedelta(days=400),
    "delivered_events": timedelta(days=30),
    "dead_events": timedelta(days=90),
    "events": timedelta(days=90),  # but never one whose delivery is still open
    "spent_proofs": timedelta(0),
    "exchange_codes": timedelta(days=1),
    "rate_limits": timedelta(0),
    "stripe_events": timedelta(days=30),  # carried out
    "dead_stripe_events": timedelta(days=90),
    "mirrored_events": timedelta(days=30),  # dj-stripe's copies
    "billing_requests": timedelta(days=30),  # and with them their idempotency keys
    "customer_changes": timedelta(days=30),  # that Stripe was told, or that were given up
}
RETENTION_RULES = {
    "stripe_events": "billing.personal.old_events",
    "dead_stripe_events": "billing.personal.old_dead_events",
    "mirrored_events": "billing.personal.old_mirrored_events",
    "billing_requests": "billing.personal.old_requests",
    "customer_changes": "billing.personal.old_changes",
}

# ---------------------------------------------------------------- Google, or any OpenID provider in its place
# Client ids of the web client, which takes part in redirects, and then of others (native apps): the audiences.
GOOGLE_CLIENT_IDS = env.list("GOOGLE_CLIENT_ID", default=[])
GOOGLE_CLIENT_SECRET = env.str("GOOGLE_CLIENT_SECRET", default="")
GOOGLE_REDIRECT_URI = env.str(
    "GOOGLE_REDIRECT_URI", default=""
)  # else our own callback below PUBLIC_BASE_URL
GOOGLE_AUTHORIZATION_URL = env.str(
    "GOOGLE_AUTHORIZATION_URL", default="https://accounts.google.com/o/oauth2/v2/auth"
)
GOOGLE_TOKEN_URL = env.str("GOOGLE_TOKEN_URL", default="https://oauth2.googleapis.com/token")
GOOGLE_JWKS_URL = env.str("GOOGLE_JWKS_URL", default="https://www.googleapis.com/oauth2/v3/certs")
# Spellings of one issuer. The first is what linked accounts are kept under.
GOOGLE_ISSUERS = env.list("GOOGLE_ISSUERS", default=["https://accounts.google.com", "accounts.google.com"])
SOCIALACCOUNT_ADAPTER = "accounts.google.client.Adapter"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS = {
    "google": {
        "APPS": [
            {
                "client_id": client_id,
                "secret": GOOGLE_CLIENT_SECRET,
                "provider_id": GOOGLE_ISSUERS[0],
            }
            for client_id in GOOGLE_CLIENT_IDS[:1]
        ],
        "SCOPE": ["openid", "email", "profile"],
        "AUTH_PARAMS": {"prompt": "select_account"},
    }
}

# ---------------------------------------------------------------- credits
REFUND_LIFETIME = timedelta(days=30)  # of what comes back to a grant that is gone
# What one admin may adjust on a day (UTC) without a second person, as the sum of the amounts without their signs.
CREDITS_APPROVAL_LIMIT = integer("CREDITS_APPROVAL_LIMIT", default=10_000)

# ---------------------------------------------------------------- limits (OWASP ASVS 6.3.1)
# Every rule is (how many, in how many seconds) of a sliding window; the factor raises all of them, for load runs. Two
# more numbers: (free, delay) after `free` hits each must wait `delay` seconds for the last one, after as many again
# twice as long, and so on up to an hour.
RATE_LIMITS_FACTOR = integer("RATE_LIMITS_FACTOR", default=1)
RATE_LIMITS_NAMESPACE = "limit"  # of their keys in Redis
DURABLE_RATE_LIMITS = {"wrong_factors"}  # counted in PostgreSQL alone
RATE_LIMITS = {
    "login_failures": (5, 300),  # wrong passwords, per account and address of the client
    # Wrong passwords in a row per account, wherever they come from; the known address of its owner counts by itself.
    "login_account": (100, 30 * 86400, 10, 30),
    "login": (30, 60),  # sign-ins tried, per address of the client
    "register": (20, 3600),  # registrations, per address of the client
    "refresh": (60, 60),  # per session
    "resend_verification": (3, 3600),  # per mailbox
    "password_reset_request": (3, 3600),  # per mailbox
    "password_reset": (30, 60),  # reset links tried, per address of the client
    "refuse_registration": (30, 60),  # links tried, per address of the client
    "wrong_proofs": (
        10,
        900,
    ),  # wrong passwords and codes of somebody signed in, per account, whatever the call
    # Wrong second factors in a row per account, whatever the door: 10, then a pause of 15 minutes, and so on.
    "wrong_factors": (100, 7 * 86400, 10, 900),
    "login_mfa": (30, 60),  # second steps tried, per address of the client
    "passkey_options": (60, 60),  # per address of the client
    "passkey_login": (30, 60),  # per address of the client
    "factor_changes": (20, 3600),  # enrolments begun and codes made, per account
    "cancel_mfa_reset": (30, 60),  # links tried, per address of the client
    "change_password": (20, 3600),  # per account
    "verify_email": (60, 60),  # links and codes tried, per address of the client
    "mail_codes": (20, 86400),  # codes tried, per e-mail address
    "change_email": (5, 3600),  # per account
    "confirm_email_change": (30, 60),  # links tried, per address of the client
    "undo_email_change": (30, 60),  # links tried, per address of the client
    "export": (5, 3600),  # per account
    "google_begin": (60, 60),  # sign-ins with Google begun and nonces, per address of the client
    "google": (30, 60),  # codes and ID tokens of Google tried, per address of the client
    "google_link": (10, 3600),  # per account
    "user_lookup": (120, 60),  # public look-ups, per address of the client
    "mails_by_strangers": (5, 3600),  # mails that anyone can cause, per mailbox; what is over is not sent
}

# ---------------------------------------------------------------- mail
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL", default="").rstrip("/")
FRONTEND_URL = env.str("FRONTEND_URL", default="").rstrip("/")
DEFAULT_FROM_EMAIL = env.str("MAIL_FROM", default="")
EMAIL_TIMEOUT = 10
SERVICE_NAME = env.str("SERVICE_NAME", default="Auth Service")

# ---------------------------------------------------------------- events for neighbour services
EVENT_WEBHOOK_HOSTS = webhook_hosts("EVENT_WEBHOOK_HOSTS")
EVENT_WEBHOOK_PLAIN_HTTP = False  # to loopback addresses, in development and tests
# Seconds before each repeat of a delivery that failed; after the last one it is a dead letter. 16 hours in all.
EVENT_DELIVERY_DELAYS = [5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800]

# ---------------------------------------------------------------- text, time, files
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "config.formats"
MAIL_LANGUAGES = [
    "en",
    "de",
    "es",
    "fr",
    "it",
]  # those that mails and pages speak (locale/); all others read English
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGES = [("en", "English"), ("it", "Italiano"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español")]
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(VAR_DIR / "static")))
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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
# ---------------------------------------------------------------- the admin
# Where staff reach it: what the links of manage.py staff_enrol begin with, and passkeys may be used from.
ADMIN_BASE_URL = env.str("ADMIN_BASE_URL", default="").rstrip("/")
ADMIN_MODELS_OF = ["accounts", "credits", "billing"]  # no page for the models of packages
# Sections of the first page and of a user's page, with the permission that each needs (accounts/admin/sections.py).
# Called with `request` and `today`, or `request` and `user`.
ADMIN_FIRST_PAGE = {
    "accounts.admin.first_page.people": "accounts.view_accountday",
    "credits.admin.overview.section": "credits.view_creditday",
    "billing.admin.sections.revenue": "billing.view_revenue",
    "accounts.admin.first_page.queues": "accounts.view_outboxmessage",
}
ADMIN_USER_PAGE = {
    "credits.admin.user_page.section": "credits.view_usercredit",
    "billing.admin.sections.of_user": "billing.view_billingaccount",
    "accounts.admin.user_page.sessions_section": "accounts.view_session",
    "accounts.admin.user_page.sign_in_section": "accounts.view_user",
    "accounts.admin.user_page.mails_section": "accounts.view_outboxmessage",
    "accounts.admin.user_page.addresses_section": "accounts.view_addresschange",
    "accounts.admin.user_page.activity_section": "accounts.view_auditevent",
}
# Django groups, kept so by accounts/admin/roles.py: permissions, with * for any letters. What is the superuser's is
# in none.
STAFF_ROLES = {
    "support": [
        "accounts.view_user",
        "accounts.view_session",
        "accounts.view_pendingregistration",
        "accounts.view_mailtoken",
        "accounts.view_outboxmessage",
        "accounts.view_auditevent",
        "accounts.view_addresschange",
        "accounts.view_factorreset",
        "accounts.view_accountday",
        "accounts.change_status",
        "accounts.end_sessions",
        "accounts.reset_factors",
        "accounts.send_mails",
        "credits.view_usercredit",
        "credits.view_credittransaction",
        "credits.view_grant",
        "credits.view_hold",
        "credits.view_featureprice",
        "credits.release_hold",
        "billing.view_billingaccount",
        "billing.view_payment",
        "billing.view_plan",
    ],
    "finance": [
        "accounts.view_user",
        "credits.view_*",
        "credits.adjust_credits",
        "credits.approve_adjustment",
        "credits.release_hold",
        "billing.view_*",
        "billing.refund_payment",
        "billing.end_subscription",
    ],
    "operator": [
        "accounts.view_accountday",
        "accounts.view_outboxmessage",
        "accounts.view_mailtoken",
        "accounts.view_serviceevent",
        "accounts.view_eventsubscription",
        "accounts.view_eventdelivery",
        "accounts.view_service",
        "accounts.view_servicekey",
        "accounts.view_signingkeyuse",
        "accounts.send_mails",
        "credits.view_creditday",
        "credits.view_featureprice",
        "billing.view_inboxevent",
        "billing.view_customerchange",
        "billing.replay_event",
    ],
    "auditor": ["accounts.view_*", "credits.view_*", "billing.view_*"],
}
SESSION_ENGINE = "accounts.sessions.of_staff"
SESSION_COOKIE_AGE = 12 * 3600  # the admin's; the API has no cookie
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
UNFOLD = {
    "SITE_TITLE": SERVICE_NAME,
    "SITE_HEADER": SERVICE_NAME,
    "SITE_URL": None,
    "SITE_SYMBOL": "shield_person",
    "SHOW_BACK_BUTTON": True,
    "SHOW_HISTORY": False,  # what staff did is in the audit events
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "accounts.admin.first_page.context",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "config.admin_navigation.groups",
    },
    "STYLES": [lambda request: static("accounts/lists.css")],
}
SPECTACULAR_SETTINGS = {
    "TITLE": SERVICE_NAME,
    "VERSION": "1",
    "POSTPROCESSING_HOOKS": [],
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "DISABLE_ERRORS_AND_WARNINGS": False,
}

# ---------------------------------------------------------------- billing
# Without a key the service runs, and what needs Stripe answers 503 billing_unavailable.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
# `new;old`: any of them may have signed an event. Without one the webhook does not exist.
STRIPE_WEBHOOK_SECRETS = [part for part in env.str("STRIPE_WEBHOOK_SECRETS", default="").split(";") if part]
# The version that the SDK, dj-stripe and we speak; to be raised with them, and in the endpoint at Stripe.
STRIPE_API_VERSION = "2026-08-26.dahlia"
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="").rstrip("/")  # of a fake Stripe, outside production
if STRIPE_API_BASE:
    STRIPE_API_HOST = STRIPE_API_BASE  # dj-stripe's name for it
# Per process: calls of Stripe at once, requests that may wait for one (each holds a thread), and for how many seconds;
# else 503. Half of WEB_THREADS: a Stripe that is silent for eight seconds leaves the other half to those who need none.
STRIPE_CONCURRENCY = integer("STRIPE_CONCURRENCY", default=2)
STRIPE_QUEUE = integer("STRIPE_QUEUE", default=1)
STRIPE_PATIENCE = env.float("STRIPE_PATIENCE", default=1.5)
# Where Checkout and the portal may send people back to, besides FRONTEND_URL.
BILLING_RETURN_HOSTS = env.list("BILLING_RETURN_HOSTS", default=[])
BILLING_WEBHOOK_LISTENER = env.str("BILLING_WEBHOOK_LISTENER", default="public")
if BILLING_WEBHOOK_LISTENER not in {"public", "internal"}:
    raise refuse("BILLING_WEBHOOK_LISTENER", "must be public or internal.")
# In these states of a subscription nothing may be spent; the account's status is then `frozen`.
BILLING_FREEZE_ON = env.list("BILLING_FREEZE_ON", default=["unpaid"])

# dj-stripe mirrors Stripe's objects; its webhook views are not routed (docs/decisions/).
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
DJSTRIPE_SUBSCRIBER_CUSTOMER_KEY = None
