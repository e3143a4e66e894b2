"""The ASGI application of one listener, for hosts that want ASGI; the views are synchronous (docs/decisions/0002)."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

if not os.environ.get("LISTENER"):
    raise SystemExit("LISTENER is not set: public, internal or admin.")

application = get_asgi_application()
