"""Production: no setting has a default that an attacker could know, and embedded servers are refused."""

from config.settings.base import *  # noqa: F403
from config.settings.base import (
    ALLOWED_HOSTS,
    DATABASES,
    DEFAULT_FROM_EMAIL,
    EVENT_WEBHOOK_HOSTS,
    FRONTEND_URL,
    GOOGLE_AUTHORIZATION_URL,
    GOOGLE_ISSUERS,
    GOOGLE_JWKS_URL,
    GOOGLE_TOKEN_URL,
    PUBLIC_BASE_URL,
    RATE_LIMITS_FACTOR,
    REDIS_URL,
    STRIPE_API_BASE,
    TRUSTED_PROXY_COUNT,
    VAR_DIR,
)
from config.settings.environment import (
    boolean,
    env,
    is_loopback,
    mail_server,
    redis_parts,
    refuse,
    refuse_embedded,
    refuse_own_machine,
)

ENVIRONMENT = "live"
DEBUG = False

if not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS:
    raise refuse("ALLOWED_HOSTS", "must list the host names that this service answers to.")
if not PUBLIC_BASE_URL.startswith("https://"):
    raise refuse("PUBLIC_BASE_URL", "must be the https:// address of the public listener.")
if FRONTEND_URL and not FRONTEND_URL.startswith("https://"):
    raise refuse("FRONTEND_URL", "must be an https:// address, because emailed links lead there.")
if not DEFAULT_FROM_EMAIL:
    raise refuse("MAIL_FROM", "is not set. It is the sender of every email.")
if not env.str("EMAIL_URL"):
    raise refuse("EMAIL_URL", "is not set. It must be a URL such as smtp+tls://user:password@host:587.")
if RATE_LIMITS_FACTOR > 1:
    raise refuse("RATE_LIMITS_FACTOR", "above 1 is for tests and load runs only.")
if STRIPE_API_BASE:
    raise refuse(
        "STRIPE_API_BASE", "points to a server other than Stripe, which is for development and tests only."
    )
for variable, address in (
    ("GOOGLE_AUTHORIZATION_URL", GOOGLE_AUTHORIZATION_URL),
    ("GOOGLE_TOKEN_URL", GOOGLE_TOKEN_URL),
    ("GOOGLE_JWKS_URL", GOOGLE_JWKS_URL),
):
    if not address.startswith("https://"):
        raise refuse(variable, "must be an https:// address, because what comes from there is trusted.")
if any(issuer.startswith("http://") for issuer in GOOGLE_ISSUERS):
    raise refuse("GOOGLE_ISSUERS", "names a provider without https, which is for development and tests only.")
for name, variable in (("default", "DATABASE_URL"), ("replica", "DATABASE_REPLICA_URL")):
    for host in str(DATABASES.get(name, {}).get("HOST", "")).split(","):
        refuse_embedded(variable, host, var_dir=VAR_DIR)
refuse_embedded("REDIS_URL", redis_parts(REDIS_URL).get("path", ""), var_dir=VAR_DIR)
if not is_loopback(env.str("BIND")) and not boolean("BEHIND_BUFFERING_PROXY"):
    raise refuse(
        "BIND",
        "exposes the public listener to the network, where slow clients would block it. Put a proxy "
        "that buffers requests and responses in front of it (deploy/nginx), let nothing else reach it, "
        "and set BEHIND_BUFFERING_PROXY=true.",
    )
refuse_own_machine("EVENT_WEBHOOK_HOSTS", EVENT_WEBHOOK_HOSTS)
vars().update(mail_server("EMAIL_URL"))

# A proxy that is trusted with the client's address is also trusted to say that TLS ended there; otherwise no one is.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
SECURE_HSTS_SECONDS = 31536000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_NAME = "__Host-admin"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

SILENCED_SYSTEM_CHECKS = [
    "security.W002",  # X-Frame-Options: the API sends CSP frame-ancestors 'none'; the admin has the middleware
    "security.W003",  # CSRF middleware: the API listeners read no cookie; the admin has the middleware
    "security.W008",  # SSL redirect: TLS ends at the proxy, plain HTTP never leaves loopback
]
