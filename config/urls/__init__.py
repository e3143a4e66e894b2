"""The routes of the three listeners. A process imports the module of its own listener only."""

from importlib import import_module
from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, path

from config.docs import Docs, DocsScript, OpenAPIDocument, Problems
from config.health import Live, Ready

Routes = list[URLPattern | URLResolver]

# Each URLconf names them: Django looks there for the handlers of errors that no view has caught.
handlers = [f"config.errors.handler{status}" for status in (400, 403, 404, 500)]

APPS = ("accounts", "credits", "billing")


def routes_of_apps(listener: str) -> Routes:
    """Return the routes that each app's `urls` has for a listener: its list `<listener>_urlpatterns`."""
    modules = [import_module(f"{app}.urls") for app in APPS if find_spec(f"{app}.urls")]
    return [route for module in modules for route in getattr(module, f"{listener}_urlpatterns", ())]


health: Routes = [path("livez", Live.as_view()), path("readyz", Ready.as_view())]
docs: Routes = [
    path("v1/schema", OpenAPIDocument.as_view()),
    path("docs", Docs.as_view()),
    path("docs/start.js", DocsScript.as_view()),
    path("docs/problems", Problems.as_view()),
]
