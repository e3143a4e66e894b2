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
A template of yours replaces ours of the same path in `templates/`, such as `mail/purchase.html` with
`mail/purchase.txt`. Copy ours, and compare it again when you upgrade."""
_SECRETS = """\
Secrets are 32 random bytes or more, and no two are the same. Separate several values of one with `;`: the first signs,
all of them verify, so that each can be rotated without downtime. `deploy/new_environment.py` makes them.

`manage.py signing_keys plan JWT_KEYS --algorithm EdDSA` makes a key and prints the environment of each of three steps:
the new key verifies, then signs, then the old one is removed; it never prints a key that exists. `signing_keys list`
shows the ids of all, and `signing_keys check` what older ones are still needed for: live sessions, access tokens until
when, sealed columns. [Rotating every secret](operations/keys.md)."""
_SIGN_IN = """\
**`BREACHED_PASSWORDS_URL`.** Where a password is set (registration, reset, change) the first five hexadecimal digits of
its SHA-1 are asked for there, padded (`Add-Padding`), and the answer is compared here: neither the password nor its
hash leaves the service, and nothing of them is queued, stored or logged. A password that is listed is refused
(`password_breached`). It takes 300 ms at most; a service that does not answer in time, or at all, refuses nobody.

**`LOGIN_REQUIRES_VERIFIED_EMAIL`.** With it off, people can sign in before they have confirmed their address, and reach
only what the tier Authenticated allows; but registering and then signing in reveals whether an address was taken. With
it on, both answers are identical until the address is confirmed, and nobody gets in before."""
_RETENTION = """\
How long rows are kept, counted from their end; [retention.md](retention.md) says what each rule counts from, and what
is erased with an account. `manage.py purge --dry-run` shows how many rows each rule would delete."""
_LIMITS = """\
How many tries there are in a sliding window, counted before the work that each guards. What one network may do is for
one customer of a provider (an IPv4 address, an IPv6 /64); the networks around it may do a few times as much."""

GROUPS = (
    Group(
        "The process",
        {
            "DJANGO_SETTINGS_MODULE": Variable(
                default="config.settings.production",
                about="Which settings apply: `config.settings.production`, `config.settings.dev` or "
                "`config.settings.test`.",
            ),
            "LISTENER": Variable(
                otherwise="`admin` for commands; a web process has to say",
                about="Which listener a web process is: `public`, `internal` or `admin`. The Procfile says it.",
            ),
            "VAR_DIR": Variable(default="var", about="Where this instance keeps its files."),
            "STATIC_ROOT": Variable(
                otherwise="`$VAR_DIR/static`", about="Where the admin's style sheets are collected."
            ),
            "LOG_FORMAT": _word(
                "json",
                "plain",
                about="`json` for machines; `plain` for a developer's eyes, which `script/server` chooses.",
            ),
            "METRICS_DIR": Variable(
                otherwise="`$VAR_DIR/metrics`",
                about="Where the processes of one host count, in a directory for each kind.",
            ),
            "METRICS_BIND": Variable(
                otherwise="none",
                about="The IP address at which each process answers Prometheus ([the "
                "pieces](operations/deploy.md#the-pieces)).",
            ),
            "METRICS_PORT": Whole(
                about="The first of five ports there: public, internal, admin, worker, beat.",
                default="9800",
                least=1,
                most=65531,
            ),
            "OTEL_EXPORTER_OTLP_ENDPOINT": Variable(
                otherwise="none",
                about="Where traces go, with `requirements-tracing.txt` installed; the SDK's other `OTEL_` variables "
                "hold too.",
            ),
            "ADMIN_EMAIL": Variable(
                otherwise="none",
                about="The address of the superuser that `manage.py ensure_admin` makes if it is absent.",
            ),
            "ADMIN_PASSWORD": Variable(otherwise="none", about="That superuser's first password."),
        },
        "Without `DJANGO_SETTINGS_MODULE` the production settings apply.",
    ),
    Group(
        "Secrets",
        {
            "SECRET_KEY": Variable(
                required=True,
                about="Django's own secret: cursors, the admin's cookies, names of limits: `secret;...`.",
            ),
            "JWT_KEYS": Variable(
                required=True,
                about="Access tokens: `kid:ALG:base64url;...`, ALG HS256, ES256 or EdDSA (then a PKCS #8 DER key).",
            ),
            "REFRESH_TOKEN_KEYS": Variable(
                required=True, about="Refresh tokens: `kid:base64url;...`, HS256."
            ),
            "MAIL_TOKEN_KEYS": Variable(required=True, about="Mailed links and codes: `secret;...`."),
            "LEDGER_DIGEST_KEYS": Variable(
                required=True,
                about="Digests of requests in the journal: `secret;...`. Remove an old one only when repeats of its "
                "requests no longer matter.",
            ),
            "FIELD_ENCRYPTION_KEYS": Variable(
                required=True,
                about="Columns that are sealed in the database: `kid:base64url;...`. Remove an old one only after "
                "`manage.py reencrypt_fields`.",
            ),
            "INTERNAL_API_KEYS": Variable(
                otherwise="none",
                about="Keys of services that are not in the database: `name=key:scope[,scope...];...`, with `*` for "
                "all scopes. A key without any is refused.",
            ),
        },
        _SECRETS,
    ),
    Group(
        "Stores and mail",
        {
            "DATABASE_URL": Variable(
                required=True,
                about="The role that serves: `postgresql://user:password@host/database` (write `%25`, `%40`, `%2F` for "
                "a `%`, `@` or `/` in the password), `?host=/directory` for a socket; [several "
                "hosts](operations/machines.md): `//user@one:5432,two:5432/database`. A server that only reads is "
                "not used.",
            ),
            "DATABASE_MIGRATE_URL": Variable(
                otherwise="`DATABASE_URL`", about="The role that owns the tables, for `manage.py migrate`."
            ),
            "DATABASE_POOL": _word(
                *("none", "session", "transaction"),
                about="The server behind it: PostgreSQL itself, or a PgBouncer that lends connections for a "
                "session or a transaction ([PgBouncer](operations/machines.md#pgbouncer)).",
            ),
            "DATABASE_REPLICA_URL": Variable(
                otherwise="none",
                about="A standby from which history, exports and verification are read ([a "
                "replica](operations/machines.md#a-replica-to-read-from)).",
            ),
            "DATABASE_REPLICA_LAG": Whole(
                about="It is read from while it is at most so far behind.",
                default="30",
                least=1,
                most=600,
                unit="seconds",
            ),
            "LEDGER_PARTITIONS": Whole(
                about="Into how many hash partitions by holder the first `migrate` cuts journal and lots; 0 or 1: not "
                "at all. Tables that hold something are cut by `manage.py partition_ledger` "
                "([when](operations/partitions.md)).",
                default="0",
                most=256,
                unit="partitions",
            ),
            "DATABASE_PREPARED_STATEMENTS": Switch(
                default="true",
                about="`false` behind a PgBouncer before 1.22 that lends connections for a transaction.",
            ),
            "REDIS_URL": Variable(
                required=True,
                about="One server for limits and the task queue, never truth; no Sentinel and no Cluster: `redis://`, "
                "`rediss://` (with `?ssl_ca_certs=/file` for a CA of yours) or `unix:///path?db=0`. Write `%25`, "
                "`%23`, `%2F`, `%3F` for a `%`, `#`, `/` or `?` in the password.",
            ),
            "EMAIL_URL": Variable(
                required=True,
                about="`smtp+tls://user:password@host:587`, or `smtp://`, `smtp+ssl://` (write `%23`, `%25`, `%2F`, "
                "`%3F`, `%40` for a `#`, `%`, `/`, `?` or `@` in user or password). In development mails are files in "
                "`$VAR_DIR/mail`.",
            ),
            "MAIL_FROM": Variable(
                required=True,
                about='The sender of every mail: an address, or a name and one, `"Acme, Inc." <no-reply@example.com>`.',
            ),
        },
    ),
    Group(
        "Branding",
        {
            "SERVICE_NAME": Variable(
                default="Auth Service", about="The name in mails, on their pages and in the admin."
            ),
            "BRAND_COLOR": Variable(
                default="#1f5fbf",
                about="The colour of buttons in mails and on their pages, dark enough for white text.",
            ),
            "BRAND_LOGO": Variable(
                otherwise="none",
                about="The https address of an image, 32 pixels high or more, above the text of mails and their pages.",
            ),
            "SUPPORT_EMAIL": Variable(
                otherwise="none", about="Where people may ask: named in mails and on their pages."
            ),
            "MAIL_REPLY_TO": Variable(otherwise="`SUPPORT_EMAIL`", about="Where answers to mails go."),
            "IMPRINT": Variable(
                otherwise="none",
                about="The company as law wants it in mails, and the seller on receipts: name, address, VAT number, "
                "lines separated by `;`.",
            ),
            "TEMPLATES_DIR": Variable(
                otherwise="none",
                about="A directory of templates that come before ours: `mail/`, `pages/`, `favicon.html`.",
            ),
        },
        _BRANDING,
    ),
    Group(
        "Addresses",
        {
            "PUBLIC_BASE_URL": Variable(
                required=True,
                about="The https address of the public listener: mailed links begin with it.",
            ),
            "FRONTEND_URL": Variable(
                otherwise="none",
                about="Where mailed links lead instead, if a front end of yours has those pages.",
            ),
            "ADMIN_BASE_URL": Variable(
                otherwise="none",
                about="Where staff reach the admin: links of `manage.py staff_enrol` begin with it.",
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
                otherwise="everybody",
                about="Peers whose connections the internal listener takes, by the socket's address: "
                "`10.1.0.0/16,fd00::/8`, and `unix` for a Unix socket ([the "
                "pieces](operations/deploy.md#the-pieces)).",
            ),
            "ADMIN_ALLOWED_PEERS": Variable(
                otherwise="everybody",
                about="Peers whose connections the admin takes, written in the same way.",
            ),
            "TRUSTED_PROXY_COUNT": Whole(
                default="0",
                unit="proxies",
                about="How many stand before the public listener: the client's address is read that far from the right "
                "of X-Forwarded-For.",
            ),
            "INTERNAL_TRUSTED_PROXY_COUNT": Whole(
                default="0", unit="proxies", about="How many stand before the internal listener."
            ),
            "ADMIN_TRUSTED_PROXY_COUNT": Whole(
                default="0", unit="proxies", about="How many stand before the admin."
            ),
            "CORS_ALLOWED_ORIGINS": Variable(
                otherwise="none", about="Exact origins of browsers' front ends, separated by commas."
            ),
            "EVENT_WEBHOOK_HOSTS": Variable(
                otherwise="none",
                about="Hosts that events may be sent to: `host[:port][=network|network],...`. A network allows "
                "addresses in it that are not of the public internet, such as `shop.internal=10.1.0.0/16`.",
            ),
            "PORT": _port("8000", "Where the public listener is."),
            "INTERNAL_PORT": _port("8001", "Where the internal listener is."),
            "ADMIN_PORT": _port("8002", "Where the admin is."),
            "BIND": Variable(
                default="127.0.0.1", about="The public listener's address, or `unix:/path` for a socket."
            ),
            "INTERNAL_BIND": Variable(default="127.0.0.1", about="The internal listener's address."),
            "ADMIN_BIND": Variable(default="127.0.0.1", about="The admin's address."),
            "BEHIND_BUFFERING_PROXY": Switch(
                about="A proxy that buffers requests and answers stands before the public listener, and nobody else "
                "reaches it: production binds it beyond loopback only then.",
            ),
        },
    ),
    Group(
        "Sizes",
        {
            "WEB_SERVER": _word(
                "gunicorn",
                "granian",
                about="[What serves](operations/deploy.md#which-server) the public listener.",
            ),
            "INTERNAL_WEB_SERVER": _word("gunicorn", "granian", about="The server of the internal listener."),
            "ADMIN_WEB_SERVER": _word("gunicorn", "granian", about="The server of the admin."),
            "WEB_CONCURRENCY": Whole(
                default="2", least=1, unit="processes", about="Workers of each listener."
            ),
            "WEB_THREADS": Whole(
                default="4",
                least=1,
                unit="requests",
                about="Requests that each worker handles at once, with a database connection for each. Public and "
                "admin have more threads, in which people wait for a hash or for Google.",
            ),
            "WORKER_CONCURRENCY": Whole(
                default="2", least=1, unit="processes", about="Celery's, for mails, events and payments."
            ),
            "PASSWORD_HASHING_CONCURRENCY": Whole(
                otherwise="cores - 1; of two cores both",
                least=1,
                unit="hashes",
                about="Passwords hashed at once on the whole machine ([0027](decisions/0027-turns-at-hashing.md)).",
            ),
            "PASSWORD_HASHING_QUEUE": Whole(
                default="24", unit="requests", about="How many of the whole machine may wait for a hash."
            ),
            "PASSWORD_HASHING_PATIENCE": Decimal(
                default="8", unit="seconds", about="How long each waits for its turn; then it is a 503."
            ),
            "PASSWORD_HASHING_TURNS": Variable(
                otherwise="`$VAR_DIR/password-hashing.json`",
                about="The file by which the processes of one machine take turns at hashing; containers of one machine "
                "share it by a volume.",
            ),
        },
    ),
    Group(
        "Tokens and sessions",
        {
            "TOKEN_ISSUER": Variable(default="auth-service", about="The claim `iss` of access tokens."),
            "TOKEN_AUDIENCE": Variable(default="ecosystem", about="The claim `aud` of access tokens."),
            "ACCESS_TOKEN_LIFETIME": _time("60m", "1m", "1d", "How long an access token is valid."),
            "REFRESH_TOKEN_LIFETIME": _time(
                "14d",
                "1h",
                "365d",
                "How long a refresh token is valid: a session not used for so long is over.",
            ),
            "SESSION_ABSOLUTE_LIFETIME": _time(
                "90d", "1h", "3650d", "How long a session lasts at most, however much it is used."
            ),
            "SESSIONS_PER_USER": Whole(
                default="100",
                least=2,
                unit="sessions",
                about="How many one user may have; one more ends the one that was not used for longest.",
            ),
            "REFRESH_GRACE": _time(
                "60s", "0s", "10m", "For how long a refresh token that was just used may be used once more."
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
                "For how long a device is known after a sign-in: others' wrong passwords do not shut it out. Longer "
                "than a session, so that people who were away are known again.",
            ),
            "RECENT_SIGN_IN": _time(
                "5m", "1m", "1h", "How long ago a sign-in may be for calls that ask for a recent one."
            ),
            "EXCHANGE_CODE_LIFETIME": _time(
                "60s", "10s", "10m", "How long a front end has to exchange its code for tokens after Google."
            ),
        },
    ),
    Group(
        "Signing in and second factors",
        {
            "PASSWORD_MIN_LENGTH": Whole(
                default="12", least=8, most=256, unit="characters", about="The shortest password."
            ),
            "BREACHED_PASSWORDS_URL": Variable(
                otherwise="none",
                about="Where new passwords are looked up, such as `https://api.pwnedpasswords.com/range/`; see above.",
            ),
            "LOGIN_REQUIRES_VERIFIED_EMAIL": Switch(
                about="Nobody signs in before the address is confirmed; see above."
            ),
            "MFA_REQUIRED": _word(
                "nobody",
                "staff",
                "everybody",
                about="Accounts that must have a second factor, however they sign in.",
            ),
            "MFA_TOKEN_LIFETIME": _time("5m", "1m", "30m", "How long a sign-in waits for its second factor."),
            "TOTP_ENROLMENT_LIFETIME": _time(
                "15m", "1m", "1d", "How long an authenticator app that was not confirmed can be."
            ),
            "PASSKEY_CHALLENGE_LIFETIME": _time(
                "5m", "1m", "30m", "How long a passkey has to sign what it was asked to."
            ),
            "MOST_PASSKEYS": Whole(
                default="20", least=1, most=100, unit="passkeys", about="How many an account may have."
            ),
            "FACTOR_RESET_DELAY": _time(
                "72h", "1h", "30d", "How long the owner can object before staff's removal of factors happens."
            ),
            "WEBAUTHN_RP_ID": Variable(
                otherwise="the front end's host, else that of `PUBLIC_BASE_URL`",
                about="The name that passkeys are bound to for good.",
            ),
            "WEBAUTHN_ORIGINS": Variable(
                otherwise="the front end, else `PUBLIC_BASE_URL`",
                about="The pages that may use passkeys, separated by commas.",
            ),
            "ADMIN_SESSION_IDLE": _time(
                "30m", "1m", "24h", "When a session of the admin that nobody uses is over."
            ),
            "ADMIN_SESSION_LIFETIME": _time(
                "8h", "10m", "24h", "When a session of the admin is over in any case."
            ),
        },
        _SIGN_IN,
    ),
    Group(
        "Mailed links and codes",
        {
            "VERIFY_EMAIL_LIFETIME": _time("24h", "15m", "30d", "How long the link of a registration holds."),
            "EMAIL_CODE_LIFETIME": _time("15m", "5m", "24h", "How long the code beside that link holds."),
            "PASSWORD_RESET_LIFETIME": _time("60m", "5m", "24h", "How long a link for a new password holds."),
            "CHANGE_EMAIL_LIFETIME": _time("60m", "5m", "7d", "How long a link to a new address holds."),
            "UNDO_EMAIL_CHANGE_LIFETIME": _time(
                "7d", "1d", "30d", "For how long the former address can undo a change of address."
            ),
            "STAFF_ENROL_LIFETIME": _time(
                "24h", "15m", "7d", "How long a link of `manage.py staff_enrol` holds."
            ),
        },
    ),
    Group(
        "Accounts that close",
        {
            "DELETION_GRACE": _time(
                "14d", "1d", "90d", "For how long a closed account can be had back by signing in."
            ),
        },
    ),
    Group(
        "Roles of staff",
        {
            "STAFF_ROLES": Variable(
                otherwise="`support`, `finance`, `operator`, `auditor`, as [admin.md](admin.md) shows them",
                about="Roles to add, or to have in place of those: `name=permission,permission...;...`, such as "
                "`reader=credits.view_*,accounts.view_user`, with `*` for any letters. `manage.py sync_roles` and each "
                "migration make them.",
            ),
        },
    ),
    Group(
        "Credits",
        {
            "HOLD_LIFETIME": _time(
                "15m", "1m", "7d", "How long credits are held if the call does not say (`expires_in`)."
            ),
            "REFUND_LIFETIME": _time(
                "30d", "1d", "3650d", "How long credits last that come back to a grant that is gone."
            ),
            "CREDITS_APPROVAL_LIMIT": Whole(
                default="10000",
                unit="credits",
                about="Credits that one admin may adjust in a day before a second person has to approve.",
            ),
            "REFUND_APPROVAL_LIMIT": Whole(
                default="10000",
                about="Money that one admin may refund in a day before a second person has to approve, in the smallest "
                "unit of each currency: 100.00 EUR.",
            ),
            "APPROVAL_LIFETIME": _time(
                "14d",
                "1d",
                "90d",
                "How long an adjustment or a refund waits for a second person before it lapses.",
            ),
        },
    ),
    Group(
        "Stripe",
        {
            "STRIPE_SECRET_KEY": Variable(
                otherwise="none",
                about="[Setting up Stripe](billing.md). Without it what needs Stripe answers 503 "
                "`billing_unavailable`; a key that begins with `sk_live_` means live mode.",
            ),
            "STRIPE_WEBHOOK_SECRETS": Variable(
                otherwise="none",
                about="`whsec_...;...` of the endpoint at Stripe, several while one is replaced. Without one the "
                "webhook is a 404.",
            ),
            "STRIPE_CONCURRENCY": Whole(
                default="2", least=1, unit="calls", about="Calls of Stripe at once in a process."
            ),
            "STRIPE_QUEUE": Whole(
                default="1",
                unit="requests",
                about="How many may wait for one; the excess is 503 `billing_unavailable` at once.",
            ),
            "STRIPE_PATIENCE": Decimal(default="1.5", unit="seconds", about="How long each waits."),
            "STRIPE_PORTAL_CONFIGURATION": Variable(
                otherwise="what was saved in the Dashboard",
                about="The customer portal as `manage.py stripe_setup` makes it.",
            ),
            "BILLING_RETURN_HOSTS": Variable(
                otherwise="none",
                about="Hosts that Checkout and the portal may send people back to, separated by commas.",
            ),
            "BILLING_WEBHOOK_LISTENER": _word(
                "public",
                "internal",
                about="`internal`: the webhook is served there, to a gateway with a key that has `billing:webhook`.",
            ),
            "BILLING_REFUND_DUPLICATES": Switch(
                about="The later of two subscriptions that one user has paid is ended and refunded by itself, if plan "
                "and card are the same, the other is active, and none of its credits was used.",
            ),
            "BILLING_END_DISPUTED": Switch(about="A disputed payment ends its subscription at once."),
            "BILLING_FREEZE_ON": Variable(
                default="unpaid",
                about="States of a subscription in which credits cannot be spent (`past_due`, `unpaid`, `paused`), "
                "separated by commas.",
            ),
        },
    ),
    Group(
        "Google",
        {
            "GOOGLE_CLIENT_ID": Variable(
                otherwise="none",
                about="Client ids at Google: the web client's, then those of native apps, separated by commas. Without "
                "one Google's endpoints answer 404 `google_not_configured` ([how to get them](google.md)).",
            ),
            "GOOGLE_CLIENT_SECRET": Variable(
                otherwise="none", about="The web client's secret, needed with `GOOGLE_CLIENT_ID`."
            ),
            "GOOGLE_REDIRECT_URI": Variable(
                otherwise="`$PUBLIC_BASE_URL/v1/auth/google/callback`",
                about="Exactly as registered at Google; a page of your front end, which then posts `code` and "
                "`state`.",
            ),
            "GOOGLE_AUTHORIZATION_URL": Variable(
                default="https://accounts.google.com/o/oauth2/v2/auth",
                about="With the next three, another OpenID provider in Google's place.",
            ),
            "GOOGLE_TOKEN_URL": Variable(
                default="https://oauth2.googleapis.com/token", about="Where codes become tokens."
            ),
            "GOOGLE_JWKS_URL": Variable(
                default="https://www.googleapis.com/oauth2/v3/certs", about="The provider's public keys."
            ),
            "GOOGLE_ISSUERS": Variable(
                default="https://accounts.google.com,accounts.google.com",
                about="Spellings of the issuer, separated by commas. Linked accounts are kept under the first.",
            ),
            "GOOGLE_SIGN_IN_LIFETIME": _time(
                "10m", "1m", "1h", "How long a sign-in with Google may take, from its start to its return."
            ),
            "GOOGLE_PROOF_NEEDS_AUTH_TIME": Switch(
                about="`reauthenticate` refuses ID tokens without a recent `auth_time`."
            ),
        },
    ),
    Group(
        "Retention",
        {
            "RETENTION_UNVERIFIED_USERS": _kept(
                30, "Users who never confirmed an address, have no credits and no live session."
            ),
            "RETENTION_REGISTRATIONS": _kept(30, "Registrations that are confirmed or void."),
            "RETENTION_SESSIONS": _kept(90, "Sessions that ended, or were not used until they ran out."),
            "RETENTION_ADMIN_SESSIONS": _kept(0, "Sessions of the admin that ran out.", least=0),
            "RETENTION_MAIL_TOKENS": _kept(30, "Mailed links that were used, are void or ran out."),
            "RETENTION_ADDRESS_CHANGES": _kept(30, "Changes of address that cannot be undone any more."),
            "RETENTION_SENT_MAILS": _kept(30, "Mails that were sent."),
            "RETENTION_DEAD_MAILS": _kept(90, "Mails that were given up."),
            "RETENTION_MFA_TOKENS": _kept(1, "Sign-ins that lacked only their second factor, and ran out."),
            "RETENTION_PASSKEY_CHALLENGES": _kept(1, "Challenges for passkeys that expired."),
            "RETENTION_TOTP_ENROLMENTS": _kept(1, "Authenticator apps that nobody confirmed."),
            "RETENTION_USED_TOTP_STEPS": _kept(1, "Time steps whose code was accepted."),
            "RETENTION_FACTOR_RESETS": _kept(400, "Removals of second factors, done or cancelled."),
            "RETENTION_AUDIT": _kept(
                400, "Events of accounts. The last 90 days repair a restored backup.", least=90
            ),
            "RETENTION_DELIVERED_EVENTS": _kept(30, "Deliveries of events that arrived."),
            "RETENTION_DEAD_EVENTS": _kept(90, "Deliveries of events that were given up."),
            "RETENTION_EVENTS": _kept(90, "Events, but never one whose delivery is still open."),
            "RETENTION_SPENT_PROOFS": _kept(
                0, "States, nonces and ID tokens of Google that were used and ran out.", least=0
            ),
            "RETENTION_EXCHANGE_CODES": _kept(1, "Codes that a front end exchanges for tokens, and ran out."),
            "RETENTION_RATE_LIMITS": _kept(
                0, "Windows of limits that PostgreSQL counted, and ran out.", least=0
            ),
            "RETENTION_STRIPE_EVENTS": _kept(30, "Events of Stripe that were carried out.", least=7),
            "RETENTION_DEAD_STRIPE_EVENTS": _kept(90, "Events of Stripe that were given up.", least=7),
            "RETENTION_MIRRORED_EVENTS": _kept(30, "dj-stripe's copies of events."),
            "RETENTION_BILLING_REQUESTS": _kept(
                30, "Requests of services that reach Stripe, and with them their idempotency keys."
            ),
            "RETENTION_CUSTOMER_CHANGES": _kept(30, "Changes that Stripe was told, or that were given up."),
        },
        _RETENTION,
    ),
    Group(
        "Limits",
        {
            "RATE_LIMITS_FACTOR": Whole(
                default="1",
                least=1,
                about="Raises every limit, for tests and load runs; refused in production above 1.",
            ),
            "SIGN_IN_PAUSE_AFTER": Whole(
                default="10",
                least=3,
                most=50,
                unit="wrong passwords in a row",
                about="How many come before each next sign-in of that account waits.",
            ),
            "SIGN_IN_PAUSE": _time("30s", "1s", "15m", "The first wait; it doubles after as many again."),
            "FACTOR_PAUSE_AFTER": Whole(
                default="10",
                least=3,
                most=20,
                unit="wrong second factors in a row",
                about="How many come before each next one waits.",
            ),
            "FACTOR_PAUSE": _time("15m", "1m", "1h", "The first wait; it doubles after as many again."),
        },
        _LIMITS,
    ),
    Group(
        "Limits by network",
        {
            "LIMIT_PROOFS": _limit(60, "1m", "Passwords hashed, right or wrong, at whichever door."),
            "LIMIT_LOGIN": _limit(30, "1m", "Sign-ins tried."),
            "LIMIT_ADMIN_LOGIN": _limit(30, "1m", "Sign-ins tried at the admin."),
            "LIMIT_LOGIN_MFA": _limit(30, "1m", "Second steps tried."),
            "LIMIT_PASSKEY_OPTIONS": _limit(60, "1m", "Sign-ins with a passkey begun."),
            "LIMIT_PASSKEY_LOGIN": _limit(30, "1m", "Sign-ins with a passkey tried."),
            "LIMIT_GOOGLE_BEGIN": _limit(60, "1m", "Sign-ins with Google begun, and nonces."),
            "LIMIT_GOOGLE": _limit(30, "1m", "Codes and ID tokens of Google tried."),
            "LIMIT_REGISTER": _limit(20, "1h", "Registrations."),
            "LIMIT_MAIL_REQUESTS": _limit(
                60, "1h", "Resets and confirmations asked for, of whichever mailbox."
            ),
            "LIMIT_VERIFY_EMAIL": _limit(60, "1m", "Links and codes of registrations tried."),
            "LIMIT_REFUSE_REGISTRATION": _limit(30, "1m", "Links that refuse a registration tried."),
            "LIMIT_PASSWORD_RESET": _limit(30, "1m", "Links for a new password tried."),
            "LIMIT_CONFIRM_EMAIL_CHANGE": _limit(30, "1m", "Links to a new address tried."),
            "LIMIT_UNDO_EMAIL_CHANGE": _limit(30, "1m", "Links that undo a change of address tried."),
            "LIMIT_CANCEL_MFA_RESET": _limit(30, "1m", "Links that keep second factors tried."),
            "LIMIT_USER_LOOKUP": _limit(120, "1m", "Public look-ups of users."),
        },
    ),
    Group(
        "Limits by account, session and mailbox",
        {
            "LIMIT_LOGIN_FAILURES": _limit(5, "5m", "Wrong passwords of an account from one network."),
            "LIMIT_PROOFS_NAMED": _limit(
                30, "5m", "Passwords hashed from one network for those who have only named the account."
            ),
            "LIMIT_ADMIN_LOGIN_FAILURES": _limit(5, "5m", "Wrong passwords at the admin from one network."),
            "LIMIT_MAIL_CODES": _limit(20, "1d", "Mailed codes of an account tried from one network."),
            "LIMIT_KNOWN_SOURCE": _limit(
                5, "1h", "Wrong passwords from a network or device where the account was seen lately."
            ),
            "LIMIT_KNOWN_SOURCE_IN_A_ROW": _in_a_row(100, "30d", "The same, in a row."),
            "LIMIT_LOGIN_ACCOUNT": _in_a_row(
                100, "30d", "Wrong passwords of an account in a row, wherever they come from.", "SIGN_IN"
            ),
            "LIMIT_ADMIN_LOGIN_ACCOUNT": _in_a_row(
                100,
                "30d",
                "The same at the admin: nobody shuts staff out of it at the public listener.",
                "SIGN_IN",
            ),
            "LIMIT_DEVICE_LOGIN": _limit(20, "1m", "Sign-ins of an account tried on known devices."),
            "LIMIT_WRONG_FACTORS": _in_a_row(100, "7d", "Wrong second factors of an account in a row."),
            "LIMIT_FACTOR_PAUSES": _in_a_row(100, "7d", "The same, with pauses of signing in.", "FACTOR"),
            "LIMIT_PAUSE_ENDED_BY_RESET": _limit(
                1, "7d", "How often a new password ends an account's pause after wrong second factors."
            ),
            "LIMIT_PROOFS_HELD": _limit(
                30, "5m", "Passwords hashed for those who hold a session or a mailed link of the account."
            ),
            "LIMIT_FACTOR_CHANGES": _limit(20, "1h", "Enrolments begun and recovery codes made."),
            "LIMIT_CHANGE_PASSWORD": _limit(20, "1h", "Changes of an account's password."),
            "LIMIT_CHANGE_PROFILE": _limit(60, "1h", "Changes of an account's profile."),
            "LIMIT_CHANGE_EMAIL": _limit(5, "1h", "Changes of an account's address asked for."),
            "LIMIT_GOOGLE_LINK": _limit(10, "1h", "Google accounts linked and unlinked."),
            "LIMIT_EXPORT": _limit(5, "1h", "Exports of an account's data."),
            "LIMIT_WRONG_PROOFS": _limit(
                10, "15m", "Wrong passwords of a session: a stolen one must not use up what is the owner's."
            ),
            "LIMIT_SESSION_FACTOR_PAUSES": _in_a_row(
                50,
                "7d",
                "Wrong second factors of a session, with pauses; fewer than an account has.",
                "FACTOR",
            ),
            "LIMIT_REFRESH": _limit(60, "1m", "Refreshes of a session."),
            "LIMIT_RESEND_VERIFICATION": _limit(
                3, "1h", "Confirmations of a mailbox asked for from one network."
            ),
            "LIMIT_PASSWORD_RESET_REQUEST": _limit(
                3, "1h", "Links for a new password of a mailbox asked for from one network."
            ),
            "LIMIT_RESETS_AT_HOME": _limit(
                3,
                "1h",
                "Links for a new password sent because someone asked in a network where the account was seen lately.",
            ),
            "LIMIT_MAILS_BY_STRANGERS": _limit(
                5, "1h", "Mails to a mailbox that anyone can cause; any more are not sent."
            ),
            "LIMIT_MAILS_BUT_RESETS": _limit(
                4, "1h", "The same without links for a new password, for which one place is left free."
            ),
            "LIMIT_MAIL_REQUESTS_IN_ALL": _limit(
                600, "1m", "Mails that anyone can cause, in all: about what one worker sends."
            ),
            "LIMIT_ASSERTED": _limit(
                600,
                "1m",
                "Calls of one front end's server with [X-Client-Assertion](front-ends.md) where a network is limited; "
                "those beyond count by the server's address.",
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
                otherwise="none", about="The key in `dev.env` by which the demo's shop calls the service."
            ),
        },
    ),
)
TABLE = {name: variable for group in GROUPS for name, variable in group.variables.items()}
