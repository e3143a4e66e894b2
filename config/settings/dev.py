"""Development: the settings that `script/server` runs with. Secrets come from $VAR_DIR/dev.env, which it writes."""

from config.settings.base import *  # noqa: F403
from config.settings.base import BASE_DIR, GOOGLE_REDIRECT_URI, LISTENER, VAR_DIR
from config.settings.environment import env, integer, mail_server, sender

ENVIRONMENT = "dev"
DEBUG = False  # error responses are the product's own, as in production
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
_PORT = integer("PORT")
_INTERNAL_PORT = integer("INTERNAL_PORT")
_ADMIN_PORT = integer("ADMIN_PORT")
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL", default=f"http://127.0.0.1:{_PORT}").rstrip("/")
ADMIN_BASE_URL = env.str("ADMIN_BASE_URL", default=f"http://localhost:{_ADMIN_PORT}").rstrip("/")
DEFAULT_FROM_EMAIL = sender("MAIL_FROM", default="Auth Service <no-reply@localhost.test>")

EMAIL_BACKEND = "config.mail.FileBackend"
EMAIL_FILE_PATH = VAR_DIR / "mail"
if env.str("EMAIL_URL"):
    vars().update(mail_server("EMAIL_URL"))

SILENCED_SYSTEM_CHECKS = ["djstripe.W002"]  # STRIPE_API_HOST is the fake's here
WHITENOISE_USE_FINDERS = True
EVENT_WEBHOOK_PLAIN_HTTP = True

# ---------------------------------------------------------------- /demo, which no other settings route (config/demo)
if LISTENER == "public":
    ROOT_URLCONF = "config.demo.urls"
STATICFILES_DIRS = [BASE_DIR / "config" / "demo" / "static"]
# Its shop calls the internal listener as any service would, with the key from dev.env.
DEMO_INTERNAL_URL = f"http://127.0.0.1:{_INTERNAL_PORT}"
DEMO_API_KEY = env.str("INTERNAL_API_KEY")
# A page of the front end, which posts what Google sent: at localhost, like all of /demo (config/demo/page.py).
GOOGLE_REDIRECT_URI = GOOGLE_REDIRECT_URI or f"http://localhost:{_PORT}/demo/google"
# The page's files may be edited while it is served.
WHITENOISE_AUTOREFRESH = True
WHITENOISE_MAX_AGE = 0
