"""The WSGI application of one listener, the one that the environment variable LISTENER names."""

import os

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

if not os.environ.get("LISTENER"):
    raise ImproperlyConfigured("LISTENER is not set: public, internal or admin.")

tracing.start()
django.setup(set_prefix=False)

from accounts.checks import refuse_contradictions  # noqa: E402 -- needs the apps to be loaded
from accounts.kit import nudge  # noqa: E402 -- as above
from accounts.passwords import costs  # noqa: E402 -- as above
from config import first_use  # noqa: E402 -- as above
from config.handlers import ListenerHandler, SeatedHandler  # noqa: E402 -- needs the settings

application = SeatedHandler(settings.WEB_THREADS) if settings.HASHES else ListenerHandler()
refuse_contradictions()
first_use.build_shapes()
nudge.application()
if settings.HASHES:
    costs.rates()  # measured before anyone waits for it
