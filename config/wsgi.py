"""The WSGI application of one listener; the environment variable LISTENER says which."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

if not os.environ.get("LISTENER"):
    raise SystemExit("LISTENER is not set: public, internal or admin.")

application = get_wsgi_application()
