"""The ASGI application of one listener, for hosts that need ASGI; the views are synchronous (docs/decisions/0002)."""

import os

from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

if not os.environ.get("LISTENER"):
    raise ImproperlyConfigured("LISTENER is not set: public, internal or admin.")

application = get_asgi_application()

from accounts.checks import refuse_contradictions  # noqa: E402 -- needs the apps to be loaded

refuse_contradictions()
