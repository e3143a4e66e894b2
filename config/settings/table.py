"""The environment variables, in one table: default, bounds, unit and purpose of each.

config/settings/environment.py reads the settings from it, and `script/configuration` generates docs/configuration.md
and .env.example from it. A duration is written as `90s`, `15m`, `12h` or `30d`.
"""

import math
import re
from dataclasses import dataclass
from datetime import timedelta

TIME = re.compile(r"([0-9]{1,7})([smhd])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def time_of(text: str) -> timedelta:
    """Return the duration that a text in the format of TIME names."""
    return timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])


def written(time: timedelta) -> str:
    """Return a duration in the largest unit that divides it."""
    seconds = int(time.total_seconds())
    return next(f"{seconds // size}{unit}" for unit, size in _SECONDS.items() if seconds % size == 0)


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A text, a list or an address; the settings check its format."""

    about: str
    default: str = ""  # as you would write it
    otherwise: str = ""  # the default in words, if it is derived from other values
    required: bool = False  # in production

    @property
    def bounds(self) -> str:
        return ""


@dataclass(frozen=True, kw_only=True)
class Whole(Variable):
    least: int = 0
    most: float = math.inf
    unit: str = ""

    @property
    def bounds(self) -> str:
        return f"{self.least} or more" if self.most == math.inf else f"from {self.least} to {self.most}"


@dataclass(frozen=True, kw_only=True)
class Decimal(Whole):
    """A number that may have a fraction, such as 1.5."""


@dataclass(frozen=True, kw_only=True)
class Limit(Whole):
    """How many attempts are allowed in a period. After as many as the first variable of `pause` says, each waits after
    the one before for the time of the second variable; after as many again twice as long, and so on up to an hour.
    """

    within: timedelta
    pause: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Time(Variable):
    least: timedelta
    most: timedelta

    @property
    def bounds(self) -> str:
        return f"from {written(self.least)} to {written(self.most)}"


@dataclass(frozen=True, kw_only=True)
class Switch(Variable):
    default: str = "false"

    @property
    def bounds(self) -> str:
        return "true or false"


@dataclass(frozen=True, kw_only=True)
class Word(Variable):
    """One of several words; the first is the default."""

    among: tuple[str, ...]

    @property
    def bounds(self) -> str:
        return f"{', '.join(self.among[:-1])} or {self.among[-1]}"


@dataclass(frozen=True)
class Group:
    title: str
    variables: dict[str, Variable]
    about: str = ""


def _port(default: str, about: str) -> Whole:
    return Whole(about=about, default=default, least=1, most=65535)


def _word(*among: str, about: str) -> Word:
    return Word(about=about, default=among[0], among=among)


def _limit(count: int, within: str, about: str) -> Limit:
    return Limit(about=about, default=str(count), least=1, most=10 * count, within=time_of(within))


def _in_a_row(count: int, within: str, about: str, pause: str = "") -> Limit:
    """Return a limit on attempts in a row at one account: at most 100, as NIST SP 800-63B-4, 3.2.2, allows."""
    names = (f"{pause}_PAUSE_AFTER", f"{pause}_PAUSE") if pause else None
    return Limit(about=about, default=str(count), least=10, most=100, within=time_of(within), pause=names)


def _time(default: str, least: str, most: str, about: str) -> Time:
    return Time(about=about, default=default, least=time_of(least), most=time_of(most))


def _kept(days: int, about: str, *, least: int = 1) -> Time:
    return _time(f"{days}d", f"{least}d", "3650d", about)


_BRANDING = """\
Your own templates replace the built-in ones at the same path in `templates/`, such as `mail/purchase.html` with
`mail/purchase.txt`. Copy the built-in template, and compare it with yours again when you upgrade."""
_SECRETS = """\
Secrets have at least 32 random bytes, and no two are the same. Separate several values of one secret with `;`. The
first signs; all of them verify, so that each can be rotated without downtime. `deploy/new_environment.py` makes them.

`manage.py signing_keys plan JWT_KEYS --algorithm EdDSA` makes a key and prints the environment for each of three steps:
the new key verifies, then signs, then the old one is removed. It never prints an existing key. `signing_keys list`
shows all key ids. `signing_keys check` shows what older keys are still needed for: live sessions, access tokens (and
until when), encrypted columns. See [rotating every secret](operations/keys.md)."""
_SIGN_IN = """\
**`BREACHED_PASSWORDS_URL`.** When a password is set (registration, reset, change), the first five hexadecimal digits of
its SHA-1 are looked up there with padding (`Add-Padding`), and the response is compared here. Neither the password nor
its hash leaves the service, and no part of them is queued, stored or logged. A listed password is refused
(`password_breached`). The look-up takes 300 ms at most; if there is no response by then, the password is accepted.

**`LOGIN_REQUIRES_VERIFIED_EMAIL`.** With it off, people can sign in before they confirm their address, and then reach
only what the tier Authenticated allows; but registering and then signing in reveals whether an address was taken. With
it on, both answers are identical until the address is confirmed, and nobody can sign in before."""
_RETENTION = """\
How long rows are kept, counted from when they end. [retention.md](retention.md) says what each rule counts from and
what is erased with an account. `manage.py purge --dry-run` shows how many rows each rule would delete."""
_LIMITS = """\
How many attempts are allowed in a sliding window. Each is counted before the work that the limit guards. A limit by
network applies to one customer of a provider (an IPv4 address or an IPv6 /64); the wider networks that contain it are
allowed a few times as many."""

GROUPS = (
    Group(
        "The process",
        {
            "DJANGO_SETTINGS_MODULE": Variable(
                default="config.settings.production",
                about="The settings module: `config.settings.production`, `config.settings.dev` or "
                "`config.settings.test`.",
            ),
            "LISTENER": Variable(
                otherwise="`admin` for commands; required for web processes",
                about="Which listener a web process serves: `public`, `internal` or `admin`. The Procfile "
                "sets it.",
            ),
            "VAR_DIR": Variable(default="var", about="The directory for this instance's files."),
            "STATIC_ROOT": Variable(
                otherwise="`$VAR_DIR/static`",
                about="The directory in which the admin's static files are collected.",
            ),
            "LOG_FORMAT": _word(
                "json",
                "plain",
                about="`json` for machines; `plain` for developers to read, which `script/server` chooses.",
            ),
            "METRICS_DIR": Variable(
                otherwise="`$VAR_DIR/metrics`",
                about="The directory in which the processes of one host keep their metrics, with a "
                "subdirectory for each kind of process.",
            ),
            "METRICS_BIND": Variable(
                otherwise="none",
                about="The IP address on which each process serves its metrics to Prometheus ([the "
                "pieces](operations/deploy.md#the-pieces)).",
            ),
            "METRICS_PORT": Whole(
                about="The first of five ports on that address: public, internal, admin, worker and beat.",
                default="9800",
                least=1,
                most=65531,
            ),
            "OTEL_EXPORTER_OTLP_ENDPOINT": Variable(
                otherwise="none",
                about="Where traces are sent, if `requirements-tracing.txt` is installed; the SDK's other "
                "`OTEL_` variables apply too.",
            ),
            "ADMIN_EMAIL": Variable(
                otherwise="none",
                about="The address of the superuser that `manage.py ensure_admin` creates if none is active.",
            ),
            "ADMIN_PASSWORD": Variable(otherwise="none", about="That superuser's first password."),
        },
        "Without `DJANGO_SETTINGS_MODULE`, the production settings apply.",
    ),
    Group(
        "Secrets",
        {
            "SECRET_KEY": Variable(
                required=True,
                about="Django's own secret, for cursors, the admin's cookies and the names of limits: "
                "`secret;...`.",
            ),
            "JWT_KEYS": Variable(
                required=True,
                about="Keys for access tokens: `kid:ALG:base64url;...`. ALG is HS256, ES256 or EdDSA (the "
                "last two take a PKCS #8 DER key).",
            ),
            "REFRESH_TOKEN_KEYS": Variable(
                required=True, about="Keys for refresh tokens: `kid:base64url;...`, always HS256."
            ),
            "MAIL_TOKEN_KEYS": Variable(
                required=True, about="Keys for emailed links and codes: `secret;...`."
            ),
            "LEDGER_DIGEST_KEYS": Variable(
                required=True,
                about="Keys for the digests of requests in the journal: `secret;...`. Remove an old one only "
                "when repeats of its requests no longer matter.",
            ),
            "FIELD_ENCRYPTION_KEYS": Variable(
                required=True,
                about="Keys for encrypted database columns: `kid:base64url;...`. Remove an old one only "
                "after `manage.py reencrypt_fields`.",
            ),
            "INTERNAL_API_KEYS": Variable(
                otherwise="none",
                about="API keys of services that are not in the database: `name=key:scope[,scope...];...`, "
                "with `*` for all scopes. A key without a scope is refused.",
            ),
        },
        _SECRETS,
    ),
    Group(
        "Stores and email",
        {
            "DATABASE_URL": Variable(
                required=True,
                about="The serving role: `postgresql://user:password@host/database` (write `%25`, `%40`, "
                "`%2F` for a `%`, `@` or `/` in the password), or `?host=/directory` for a socket. For "
                "[several hosts](operations/machines.md): `//user@one:5432,two:5432/database`. A "
                "read-only server is never used.",
            ),
            "DATABASE_MIGRATE_URL": Variable(
                otherwise="`DATABASE_URL`", about="The role that owns the tables, for `manage.py migrate`."
            ),
            "DATABASE_POOL": _word(
                *("none", "session", "transaction"),
                about="The server behind `DATABASE_URL`: PostgreSQL itself (`none`), or a PgBouncer that "
                "lends connections for a session or a transaction "
                "([PgBouncer](operations/machines.md#pgbouncer)).",
            ),
            "DATABASE_REPLICA_URL": Variable(
                otherwise="none",
                about="A standby that serves history, exports and verification ([a "
                "replica](operations/machines.md#a-replica-to-read-from)).",
            ),
            "DATABASE_REPLICA_LAG": Whole(
                about="How far the standby may lag behind and still be read from.",
                default="30",
                least=1,
                most=600,
                unit="seconds",
            ),
            "LEDGER_PARTITIONS": Whole(
                about="The number of hash partitions, by holder, into which the first `migrate` cuts the "
                "journal and the lots; 0 or 1: none. Use `manage.py partition_ledger` to cut tables "
                "that already have rows ([when](operations/partitions.md)).",
                default="0",
                most=256,
                unit="partitions",
            ),
            "DATABASE_PREPARED_STATEMENTS": Switch(
                default="true",
                about="Set it to `false` behind a PgBouncer older than 1.22 that lends connections for a "
                "transaction.",
            ),
            "REDIS_URL": Variable(
                required=True,
                about="One Redis server for limits and the task queue, never the source of truth. Sentinel "
                "and Cluster are not supported: `redis://`, `rediss://` (with `?ssl_ca_certs=/file` "
                "for your own CA) or `unix:///path?db=0`. Write `%25`, `%23`, `%2F`, `%3F` for a `%`, "
                "`#`, `/` or `?` in the password.",
            ),
            "EMAIL_URL": Variable(
                required=True,
                about="The SMTP server: `smtp+tls://user:password@host:587`, or `smtp://`, `smtp+ssl://` "
                "(write `%23`, `%25`, `%2F`, `%3F`, `%40` for a `#`, `%`, `/`, `?` or `@` in the user "
                "or password). In development, emails are written to `$VAR_DIR/mail`.",
            ),
            "MAIL_FROM": Variable(
                required=True,
                about='The sender of every email: an address, or a name and an address: `"Acme, Inc." '
                "<no-reply@example.com>`.",
            ),
        },
    ),
    Group(
        "Branding",
        {
            "SERVICE_NAME": Variable(
                default="Auth Service",
                about="The service's name in emails, on the pages they link to and in the admin.",
            ),
            "BRAND_COLOR": Variable(
                default="#1f5fbf",
                about="The colour of buttons in emails and on the pages they link to; dark enough for white "
                "text.",
            ),
            "BRAND_LOGO": Variable(
                otherwise="none",
                about="The https address of an image at least 32 pixels high, shown above the text of emails "
                "and the pages they link to.",
            ),
            "SUPPORT_EMAIL": Variable(
                otherwise="none",
                about="Where people can ask for help; shown in emails and on the pages they link to.",
            ),
            "MAIL_REPLY_TO": Variable(otherwise="`SUPPORT_EMAIL`", about="Where replies to emails go."),
            "IMPRINT": Variable(
                otherwise="none",
                about="The company details that the law requires in emails, and the seller on receipts: "
                "name, address and VAT number, with lines separated by `;`.",
            ),
            "TEMPLATES_DIR": Variable(
                otherwise="none",
                about="A directory of templates that override the built-in ones: `mail/`, `pages/`, "
                "`favicon.html`.",
            ),
        },
        _BRANDING,
    ),
    Group(
        "Addresses",
        {
            "PUBLIC_BASE_URL": Variable(
                required=True,
                about="The https address of the public listener; emailed links start with it.",
            ),
            "FRONTEND_URL": Variable(
                otherwise="none",
                about="Where emailed links lead instead, if your front end has these pages.",
            ),
            "ADMIN_BASE_URL": Variable(
                otherwise="none",
                about="Where staff reach the admin; links from `manage.py staff_enrol` start with it.",
            ),
            "ALLOWED_HOSTS": Variable(
                required=True,
                about="Host names that the public listener answers to, separated by commas.",
            ),
            "INTERNAL_ALLOWED_HOSTS": Variable(
                otherwise="`ALLOWED_HOSTS`",
                about="Host names by which services reach the internal listener, such as `internal`.",
            ),
            "ADMIN_ALLOWED_HOSTS": Variable(
                otherwise="`ALLOWED_HOSTS`",
                about="Host names by which staff reach the admin, such as `localhost`.",
            ),
            "INTERNAL_ALLOWED_PEERS": Variable(
                otherwise="any peer",
                about="Peers that may connect to the internal listener, by socket address: "
                "`10.1.0.0/16,fd00::/8`, and `unix` for a Unix socket ([the "
                "pieces](operations/deploy.md#the-pieces)).",
            ),
            "ADMIN_ALLOWED_PEERS": Variable(
                otherwise="any peer",
                about="Peers that may connect to the admin, in the same form.",
            ),
            "TRUSTED_PROXY_COUNT": Whole(
                default="0",
                unit="proxies",
                about="How many proxies are in front of the public listener. The client's address is the "
                "entry of X-Forwarded-For at this position from the right.",
            ),
            "INTERNAL_TRUSTED_PROXY_COUNT": Whole(
                default="0", unit="proxies", about="How many proxies are in front of the internal listener."
            ),
            "ADMIN_TRUSTED_PROXY_COUNT": Whole(
                default="0", unit="proxies", about="How many proxies are in front of the admin."
            ),
            "CORS_ALLOWED_ORIGINS": Variable(
                otherwise="none",
                about="The exact origins of front ends that run in browsers, separated by commas.",
            ),
            "EVENT_WEBHOOK_HOSTS": Variable(
                otherwise="none",
                about="Hosts that events may be sent to: `host[:port][=network|network],...`. A network "
                "permits addresses in it that are not on the public internet, such as "
                "`shop.internal=10.1.0.0/16`.",
            ),
            "PORT": _port("8000", "The public listener's port."),
            "INTERNAL_PORT": _port("8001", "The internal listener's port."),
            "ADMIN_PORT": _port("8002", "The admin's port."),
            "BIND": Variable(
                default="127.0.0.1", about="The public listener's address, or `unix:/path` for a socket."
            ),
            "INTERNAL_BIND": Variable(default="127.0.0.1", about="The internal listener's address."),
            "ADMIN_BIND": Variable(default="127.0.0.1", about="The admin's address."),
            "BEHIND_BUFFERING_PROXY": Switch(
                about="Set it to `true` if a proxy that buffers requests and responses is in front of the "
                "public listener, which nothing else can reach. Production binds the listener beyond "
                "loopback only then.",
            ),
        },
    ),
    Group(
        "Sizes",
        {
            "WEB_SERVER": _word(
                "gunicorn",
                "granian",
                about="The public listener's server ([which one](operations/deploy.md#which-server)).",
            ),
            "INTERNAL_WEB_SERVER": _word("gunicorn", "granian", about="The internal listener's server."),
            "ADMIN_WEB_SERVER": _word("gunicorn", "granian", about="The admin's server."),
            "WEB_CONCURRENCY": Whole(
                default="2", least=1, unit="processes", about="Worker processes of each listener."
            ),
            "WEB_THREADS": Whole(
                default="4",
                least=1,
                unit="requests",
                about="Requests that each worker handles at once, with a database connection for each. Public and "
                "admin have more threads, in which people wait for a hash or for Google.",
            ),
            "WORKER_CONCURRENCY": Whole(
                default="2",
                least=1,
                unit="processes",
                about="Celery worker processes, for emails, events and payments.",
            ),
            "PASSWORD_HASHING_CONCURRENCY": Whole(
                otherwise="cores - 1; both, if there are two",
                least=1,
                unit="hashes",
                about="Passwords hashed at once on the whole machine ([0027](decisions/0027-turns-at-hashing.md)).",
            ),
            "PASSWORD_HASHING_QUEUE": Whole(
                default="24",
                unit="requests",
                about="How many requests on the whole machine may wait for a hash.",
            ),
            "PASSWORD_HASHING_PATIENCE": Decimal(
                default="8",
                unit="seconds",
                about="How long a request waits for its turn before it is refused with 503.",
            ),
            "PASSWORD_HASHING_TURNS": Variable(
                otherwise="`$VAR_DIR/password-hashing.json`",
                about="The file through which the processes of one machine take turns at hashing; containers "
                "on one machine share it through a volume.",
            ),
        },
    ),
    Group(
        "Tokens and sessions",
        {
            "TOKEN_ISSUER": Variable(default="auth-service", about="The `iss` claim of access tokens."),
            "TOKEN_AUDIENCE": Variable(default="ecosystem", about="The `aud` claim of access tokens."),
            "ACCESS_TOKEN_LIFETIME": _time("60m", "1m", "1d", "How long an access token is valid."),
            "REFRESH_TOKEN_LIFETIME": _time(
                "14d",
                "1h",
                "365d",
                "How long a refresh token is valid; a session that is not used for this long ends.",
            ),
            "SESSION_ABSOLUTE_LIFETIME": _time(
                "90d", "1h", "3650d", "How long a session can last, however often it is used."
            ),
            "SESSIONS_PER_USER": Whole(
                default="100",
                least=2,
                unit="sessions",
                about="How many sessions a user may have; a new one beyond that ends the one unused for the "
                "longest.",
            ),
            "REFRESH_GRACE": _time(
                "60s", "0s", "10m", "For how long after its use a refresh token may be used once more."
            ),
            "REFRESH_RETRY_MINUTES": Whole(
                default="10",
                least=1,
                most=24 * 60,
                unit="minutes",
                about="For how long a refresh may be repeated with its `Idempotency-Key`.",
            ),
            "DEVICE_TOKEN_LIFETIME": _time(
                "180d",
                "1d",
                "3650d",
                "For how long a device is known after a sign-in, so that other people's wrong "
                "passwords do not lock it out. Longer than a session, so that people who return after "
                "a break are still known.",
            ),
            "RECENT_SIGN_IN": _time(
                "5m", "1m", "1h", "How old a sign-in may be for calls that need a recent one."
            ),
            "EXCHANGE_CODE_LIFETIME": _time(
                "60s",
                "10s",
                "10m",
                "How long a front end has to exchange its code for tokens after a sign-in with Google.",
            ),
        },
    ),
    Group(
        "Signing in and second factors",
        {
            "PASSWORD_MIN_LENGTH": Whole(
                default="12", least=8, most=256, unit="characters", about="The minimum length of a password."
            ),
            "BREACHED_PASSWORDS_URL": Variable(
                otherwise="none",
                about="Where new passwords are looked up, such as `https://api.pwnedpasswords.com/range/`; see above.",
            ),
            "LOGIN_REQUIRES_VERIFIED_EMAIL": Switch(
                about="Require people to confirm their address before they can sign in; see above."
            ),
            "MFA_REQUIRED": _word(
                "nobody",
                "staff",
                "everybody",
                about="The accounts that must have a second factor, however they sign in.",
            ),
            "MFA_TOKEN_LIFETIME": _time("5m", "1m", "30m", "How long a sign-in waits for its second factor."),
            "TOTP_ENROLMENT_LIFETIME": _time(
                "15m", "1m", "1d", "How long a new authenticator app can wait to be confirmed."
            ),
            "PASSKEY_CHALLENGE_LIFETIME": _time(
                "5m", "1m", "30m", "How long a passkey has to sign its challenge."
            ),
            "MOST_PASSKEYS": Whole(
                default="20",
                least=1,
                most=100,
                unit="passkeys",
                about="How many passkeys an account may have.",
            ),
            "FACTOR_RESET_DELAY": _time(
                "72h",
                "1h",
                "30d",
                "How long the owner can object before staff's removal of the second factors takes effect.",
            ),
            "WEBAUTHN_RP_ID": Variable(
                otherwise="the front end's host, otherwise that of `PUBLIC_BASE_URL`",
                about="The domain that passkeys are bound to permanently.",
            ),
            "WEBAUTHN_ORIGINS": Variable(
                otherwise="the front end, otherwise `PUBLIC_BASE_URL`",
                about="The origins that may use passkeys, separated by commas.",
            ),
            "ADMIN_SESSION_IDLE": _time(
                "30m", "1m", "24h", "How long a session in the admin may be idle before it ends."
            ),
            "ADMIN_SESSION_LIFETIME": _time(
                "8h", "10m", "24h", "How long a session in the admin can last, however often it is used."
            ),
        },
        _SIGN_IN,
    ),
    Group(
        "Emailed links and codes",
        {
            "VERIFY_EMAIL_LIFETIME": _time("24h", "15m", "30d", "How long a registration's link works."),
            "EMAIL_CODE_LIFETIME": _time("15m", "5m", "24h", "How long the code sent with that link works."),
            "PASSWORD_RESET_LIFETIME": _time("60m", "5m", "24h", "How long a password reset link works."),
            "CHANGE_EMAIL_LIFETIME": _time(
                "60m", "5m", "7d", "How long a link that confirms a new address works."
            ),
            "UNDO_EMAIL_CHANGE_LIFETIME": _time(
                "7d", "1d", "30d", "How long a change of address can be undone from the old address."
            ),
            "STAFF_ENROL_LIFETIME": _time(
                "24h", "15m", "7d", "How long a link from `manage.py staff_enrol` works."
            ),
        },
    ),
    Group(
        "Closed accounts",
        {
            "DELETION_GRACE": _time(
                "14d", "1d", "90d", "How long a closed account can be restored by signing in."
            ),
        },
    ),
    Group(
        "Staff roles",
        {
            "STAFF_ROLES": Variable(
                otherwise="`support`, `finance`, `operator` and `auditor`, as in [admin.md](admin.md)",
                about="Roles to add or replace: `name=permission,permission...;...`, such as "
                "`reader=credits.view_*,accounts.view_user`, where `*` matches any letters. `manage.py "
                "sync_roles` and each migration apply them.",
            ),
        },
    ),
    Group(
        "Credits",
        {
            "HOLD_LIFETIME": _time(
                "15m", "1m", "7d", "How long credits are held if the call does not send `expires_in`."
            ),
            "REFUND_LIFETIME": _time(
                "30d",
                "1d",
                "3650d",
                "How long refunded credits last at least if they cannot go back to their grant, for "
                "example because it has expired.",
            ),
            "CREDITS_APPROVAL_LIMIT": Whole(
                default="10000",
                unit="credits",
                about="How many credits one member of staff may adjust in a day before a second person has "
                "to approve.",
            ),
            "REFUND_APPROVAL_LIMIT": Whole(
                default="10000",
                about="How much money one member of staff may refund in a day before a second person has to "
                "approve, in the smallest unit of each currency; the default is 100.00 EUR.",
            ),
            "APPROVAL_LIFETIME": _time(
                "14d",
                "1d",
                "90d",
                "How long an adjustment or a refund waits for approval before it lapses.",
            ),
        },
    ),
    Group(
        "Stripe",
        {
            "STRIPE_SECRET_KEY": Variable(
                otherwise="none",
                about="The API key ([setting up Stripe](billing.md)). Without it, calls that need Stripe "
                "answer 503 `billing_unavailable`. A key that starts with `sk_live_` means live mode.",
            ),
            "STRIPE_WEBHOOK_SECRETS": Variable(
                otherwise="none",
                about="The signing secrets of the webhook endpoint at Stripe: `whsec_...;...`, several "
                "during a rotation. Without one the webhook answers 404.",
            ),
            "STRIPE_CONCURRENCY": Whole(
                default="2", least=1, unit="calls", about="Concurrent calls to Stripe in each process."
            ),
            "STRIPE_QUEUE": Whole(
                default="1",
                unit="requests",
                about="How many requests may wait for such a call; any more get 503 `billing_unavailable` at "
                "once.",
            ),
            "STRIPE_PATIENCE": Decimal(default="1.5", unit="seconds", about="How long each of them waits."),
            "STRIPE_PORTAL_CONFIGURATION": Variable(
                otherwise="the one saved in the Dashboard",
                about="The id of the customer portal's configuration, which `manage.py stripe_setup` creates.",
            ),
            "BILLING_RETURN_HOSTS": Variable(
                otherwise="none",
                about="Hosts to which Checkout and the portal may send people back, separated by commas.",
            ),
            "BILLING_WEBHOOK_LISTENER": _word(
                "public",
                "internal",
                about="The listener that serves the webhook. With `internal`, a gateway passes the events on "
                "with a key that has the scope `billing:webhook`.",
            ),
            "BILLING_REFUND_DUPLICATES": Switch(
                about="End and refund a user's second paid subscription automatically, if its plan and card "
                "are the same, the first is active, and none of the second's credits were used.",
            ),
            "BILLING_END_DISPUTED": Switch(about="End the subscription of a disputed payment at once."),
            "BILLING_FREEZE_ON": Variable(
                default="unpaid",
                about="The states of a subscription in which credits cannot be spent (`past_due`, `unpaid`, "
                "`paused`), separated by commas.",
            ),
        },
    ),
    Group(
        "Google",
        {
            "GOOGLE_CLIENT_ID": Variable(
                otherwise="none",
                about="Client ids from Google: the web client's first, then those of native apps, separated "
                "by commas. Without one, the Google endpoints answer 404 `google_not_configured` ([how "
                "to get them](google.md)).",
            ),
            "GOOGLE_CLIENT_SECRET": Variable(
                otherwise="none", about="The web client's secret; required with `GOOGLE_CLIENT_ID`."
            ),
            "GOOGLE_REDIRECT_URI": Variable(
                otherwise="`$PUBLIC_BASE_URL/v1/auth/google/callback`",
                about="The redirect URI exactly as registered at Google. It may be a page of your front end, "
                "which then posts `code` and `state`.",
            ),
            "GOOGLE_AUTHORIZATION_URL": Variable(
                default="https://accounts.google.com/o/oauth2/v2/auth",
                about="Change this and the next three to use another OpenID provider instead of Google.",
            ),
            "GOOGLE_TOKEN_URL": Variable(
                default="https://oauth2.googleapis.com/token", about="Where codes are exchanged for tokens."
            ),
            "GOOGLE_JWKS_URL": Variable(
                default="https://www.googleapis.com/oauth2/v3/certs", about="The provider's public keys."
            ),
            "GOOGLE_ISSUERS": Variable(
                default="https://accounts.google.com,accounts.google.com",
                about="Accepted spellings of the issuer, separated by commas. Linked accounts are stored "
                "under the first.",
            ),
            "GOOGLE_SIGN_IN_LIFETIME": _time(
                "10m", "1m", "1h", "How long a sign-in with Google may take, from start to return."
            ),
            "GOOGLE_PROOF_NEEDS_AUTH_TIME": Switch(
                about="Refuse ID tokens without a recent `auth_time` at `reauthenticate`."
            ),
        },
    ),
    Group(
        "Retention",
        {
            "RETENTION_UNVERIFIED_USERS": _kept(
                30, "Users who never confirmed an address and have neither credits nor a live session."
            ),
            "RETENTION_REGISTRATIONS": _kept(30, "Registrations that are confirmed or void."),
            "RETENTION_SESSIONS": _kept(90, "Sessions that ended or expired unused."),
            "RETENTION_ADMIN_SESSIONS": _kept(0, "Expired sessions of the admin.", least=0),
            "RETENTION_MAIL_TOKENS": _kept(30, "Emailed links that are used, void or expired."),
            "RETENTION_ADDRESS_CHANGES": _kept(30, "Changes of address that can no longer be undone."),
            "RETENTION_SENT_MAILS": _kept(30, "Sent emails."),
            "RETENTION_DEAD_MAILS": _kept(90, "Emails that were given up."),
            "RETENTION_MFA_TOKENS": _kept(1, "Expired sign-ins that only lacked their second factor."),
            "RETENTION_PASSKEY_CHALLENGES": _kept(1, "Expired passkey challenges."),
            "RETENTION_TOTP_ENROLMENTS": _kept(1, "Authenticator apps that were never confirmed."),
            "RETENTION_USED_TOTP_STEPS": _kept(1, "Time steps whose code was accepted."),
            "RETENTION_FACTOR_RESETS": _kept(400, "Removals of second factors, whether done or cancelled."),
            "RETENTION_AUDIT": _kept(
                400,
                "Audit events of accounts. The last 90 days are needed to repair a restored backup.",
                least=90,
            ),
            "RETENTION_DELIVERED_EVENTS": _kept(30, "Successful deliveries of events."),
            "RETENTION_DEAD_EVENTS": _kept(90, "Deliveries of events that were given up."),
            "RETENTION_EVENTS": _kept(90, "Events, except those with an open delivery."),
            "RETENTION_SPENT_PROOFS": _kept(
                0, "Google states, nonces and ID tokens that are used and expired.", least=0
            ),
            "RETENTION_EXCHANGE_CODES": _kept(1, "Expired codes that a front end exchanges for tokens."),
            "RETENTION_RATE_LIMITS": _kept(
                0, "Expired windows of limits that were counted in PostgreSQL.", least=0
            ),
            "RETENTION_STRIPE_EVENTS": _kept(30, "Stripe events that were processed.", least=7),
            "RETENTION_DEAD_STRIPE_EVENTS": _kept(90, "Stripe events that were given up.", least=7),
            "RETENTION_MIRRORED_EVENTS": _kept(30, "dj-stripe's copies of events."),
            "RETENTION_BILLING_REQUESTS": _kept(
                30, "Service requests that reach Stripe, together with their idempotency keys."
            ),
            "RETENTION_CUSTOMER_CHANGES": _kept(30, "Customer updates that were sent to Stripe or given up."),
        },
        _RETENTION,
    ),
    Group(
        "Limits",
        {
            "RATE_LIMITS_FACTOR": Whole(
                default="1",
                least=1,
                about="Multiplies every limit, for tests and load runs; above 1 it is refused in production.",
            ),
            "SIGN_IN_PAUSE_AFTER": Whole(
                default="10",
                least=3,
                most=50,
                unit="wrong passwords in a row",
                about="After this many, each further sign-in to that account has to wait.",
            ),
            "SIGN_IN_PAUSE": _time("30s", "1s", "15m", "The first wait; it doubles after as many again."),
            "FACTOR_PAUSE_AFTER": Whole(
                default="10",
                least=3,
                most=20,
                unit="wrong second factors in a row",
                about="After this many, each further one for that account has to wait.",
            ),
            "FACTOR_PAUSE": _time("15m", "1m", "1h", "The first wait; it doubles after as many again."),
        },
        _LIMITS,
    ),
    Group(
        "Limits by network",
        {
            "LIMIT_PROOFS": _limit(60, "1m", "Passwords hashed, right or wrong, in any call."),
            "LIMIT_LOGIN": _limit(30, "1m", "Sign-in attempts."),
            "LIMIT_ADMIN_LOGIN": _limit(30, "1m", "Sign-in attempts at the admin."),
            "LIMIT_LOGIN_MFA": _limit(30, "1m", "Attempts at the second step."),
            "LIMIT_PASSKEY_OPTIONS": _limit(60, "1m", "Passkey sign-ins started."),
            "LIMIT_PASSKEY_LOGIN": _limit(30, "1m", "Passkey sign-in attempts."),
            "LIMIT_GOOGLE_BEGIN": _limit(60, "1m", "Google sign-ins started, and nonces."),
            "LIMIT_GOOGLE": _limit(30, "1m", "Google codes and ID tokens tried."),
            "LIMIT_REGISTER": _limit(20, "1h", "Registrations."),
            "LIMIT_MAIL_REQUESTS": _limit(
                60, "1h", "Password resets and confirmations requested, for any mailbox."
            ),
            "LIMIT_VERIFY_EMAIL": _limit(60, "1m", "Registration links and codes tried."),
            "LIMIT_REFUSE_REGISTRATION": _limit(30, "1m", "Links that refuse a registration tried."),
            "LIMIT_PASSWORD_RESET": _limit(30, "1m", "Password reset links tried."),
            "LIMIT_CONFIRM_EMAIL_CHANGE": _limit(30, "1m", "Links that confirm a new address tried."),
            "LIMIT_UNDO_EMAIL_CHANGE": _limit(30, "1m", "Links that undo a change of address tried."),
            "LIMIT_CANCEL_MFA_RESET": _limit(30, "1m", "Links that keep second factors tried."),
            "LIMIT_USER_LOOKUP": _limit(120, "1m", "Users looked up on the public listener."),
        },
    ),
    Group(
        "Limits by account, session and mailbox",
        {
            "LIMIT_LOGIN_FAILURES": _limit(5, "5m", "Wrong passwords for an account from one network."),
            "LIMIT_PROOFS_NAMED": _limit(
                30,
                "5m",
                "Passwords hashed for an account from one network, for callers who have only named the "
                "account.",
            ),
            "LIMIT_ADMIN_LOGIN_FAILURES": _limit(
                5, "5m", "Wrong passwords for an account at the admin from one network."
            ),
            "LIMIT_MAIL_CODES": _limit(20, "1d", "Emailed codes tried for an account from one network."),
            "LIMIT_KNOWN_SOURCE": _limit(
                5, "1h", "Wrong passwords from a network or device where the account was seen recently."
            ),
            "LIMIT_KNOWN_SOURCE_IN_A_ROW": _in_a_row(100, "30d", "Consecutive wrong passwords from there."),
            "LIMIT_LOGIN_ACCOUNT": _in_a_row(
                100, "30d", "Consecutive wrong passwords for an account, from anywhere.", "SIGN_IN"
            ),
            "LIMIT_ADMIN_LOGIN_ACCOUNT": _in_a_row(
                100,
                "30d",
                "The same at the admin, so that nobody can lock staff out of it through the public listener.",
                "SIGN_IN",
            ),
            "LIMIT_DEVICE_LOGIN": _limit(20, "1m", "Sign-in attempts for an account on known devices."),
            "LIMIT_WRONG_FACTORS": _in_a_row(100, "7d", "Consecutive wrong second factors for an account."),
            "LIMIT_FACTOR_PAUSES": _in_a_row(100, "7d", "The same, with pauses, at sign-in.", "FACTOR"),
            "LIMIT_PAUSE_ENDED_BY_RESET": _limit(
                1, "7d", "How often a new password may end an account's pause after wrong second factors."
            ),
            "LIMIT_PROOFS_HELD": _limit(
                30,
                "5m",
                "Passwords hashed for an account, for callers who hold one of its sessions or emailed links.",
            ),
            "LIMIT_FACTOR_CHANGES": _limit(20, "1h", "Enrolments started and recovery codes created."),
            "LIMIT_CHANGE_PASSWORD": _limit(20, "1h", "Changes to an account's password."),
            "LIMIT_CHANGE_PROFILE": _limit(60, "1h", "Changes to an account's profile."),
            "LIMIT_CHANGE_EMAIL": _limit(5, "1h", "Changes to an account's address requested."),
            "LIMIT_GOOGLE_LINK": _limit(10, "1h", "Google accounts linked and unlinked."),
            "LIMIT_EXPORT": _limit(5, "1h", "Exports of an account's data."),
            "LIMIT_WRONG_PROOFS": _limit(
                10,
                "15m",
                "Wrong passwords in a session, so that a stolen session cannot use up its owner's attempts.",
            ),
            "LIMIT_SESSION_FACTOR_PAUSES": _in_a_row(
                50,
                "7d",
                "Consecutive wrong second factors in a session, with pauses; lower than the account's "
                "own limit.",
                "FACTOR",
            ),
            "LIMIT_REFRESH": _limit(60, "1m", "Refreshes of a session."),
            "LIMIT_RESEND_VERIFICATION": _limit(
                3, "1h", "Confirmation emails for a mailbox requested from one network."
            ),
            "LIMIT_PASSWORD_RESET_REQUEST": _limit(
                3, "1h", "Password reset links for a mailbox requested from one network."
            ),
            "LIMIT_RESETS_AT_HOME": _limit(
                3,
                "1h",
                "Password reset links sent because someone asked from a network where the account was "
                "seen recently.",
            ),
            "LIMIT_MAILS_BY_STRANGERS": _limit(
                5, "1h", "Emails to a mailbox that anyone can trigger; any beyond that are not sent."
            ),
            "LIMIT_MAILS_BUT_RESETS": _limit(
                4, "1h", "The same without password reset links, so that one place is left for them."
            ),
            "LIMIT_MAIL_REQUESTS_IN_ALL": _limit(
                600, "1m", "Emails that anyone can trigger, in total: about as many as one worker can send."
            ),
            "LIMIT_ASSERTED": _limit(
                600,
                "1m",
                "Calls with [X-Client-Assertion](front-ends.md) from one front end's server, where "
                "there is a limit by network; any beyond that count against the server's own address.",
            ),
        },
    ),
    Group(
        "Development",
        {
            "STRIPE_API_BASE": Variable(
                otherwise="none", about="The address of a fake Stripe; refused in production."
            ),
            "INTERNAL_API_KEY": Variable(
                otherwise="none", about="The key in `dev.env` with which the demo's shop calls the service."
            ),
        },
    ),
)
TABLE = {name: variable for group in GROUPS for name, variable in group.variables.items()}
