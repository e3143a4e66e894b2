"""Find the pages of the admin by its routes: whatever the registry has, with the orders of each model's table."""

import re
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import Session, User
from billing.models import BillingAccount
from credits.models import UserCredit

ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
# Orders about several rows take them from the query.
QUERIES = {"accounts.ServiceKey": "key", "accounts.EventSubscription": "subscription", "credits.Hold": "hold"}
# Read by scripts, or for a form alone; and the steps of signing in, which lead on whoever is signed in.
NOT_PAGES = {f"admin/{name}/" for name in ("jsi18n", "autocomplete", "search", "logout", "login", "factor")}


def routes() -> list[str]:
    """Return every route below `admin/` but the one that catches what is unknown."""
    found = [one for one in _walk(get_resolver("config.urls.admin").url_patterns) if one.startswith("admin/")]
    return [one for one in found if not one.endswith("(?P<url>.*)$")]


def _walk(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for one in patterns:
        route = before + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from _walk(one.url_patterns, route)
        else:
            yield route


def addresses(user: User) -> dict[str, str]:
    """Return an address for each route, and for each order of a route that takes its name."""
    return {name: path for route in routes() for name, path in _filled(route, user) if route not in NOT_PAGES}


def _filled(route: str, user: User) -> Iterator[tuple[str, str]]:
    if "(?P<app_label>" in route:
        for app in sorted({model._meta.app_label for model in admin.site._registry}):
            yield f"admin/{app}/", f"/admin/{app}/"
        return
    model = _model_of(route)
    row = _row_of(model, user) if model else user
    assert row is not None, f"{route} has no row to show"
    of_model: Any = admin.site._registry.get(model)
    verbs = of_model.orders if "<slug:verb>" in route else [""]
    session = Session.objects.filter(user=user, ended_at=None)[:1].get().pk
    query = QUERIES.get(model._meta.label) if model and _is_of_ours(route) else None
    for verb in verbs:
        path = "/" + _with(route, {"verb": verb, "target": session, "content_type_id": 0}, row.pk)
        yield route.replace("<slug:verb>", verb), path + (f"?{query}={row.pk}" if query else "")


def _with(route: str, values: dict[str, Any], otherwise: Any) -> str:
    return ARGUMENT.sub(lambda found: str(values.get(found[1], otherwise)), route)


def _is_of_ours(route: str) -> bool:
    """Tell whether this is a page of a model's own, not one of Django's five."""
    return not re.fullmatch(r"admin/\w+/\w+/(add/|<path:object_id>/.*)?", route)


def _model_of(route: str) -> Any:
    named = {
        f"admin/{model._meta.app_label}/{model._meta.model_name}/": model for model in admin.site._registry
    }
    return next((model for beginning, model in named.items() if route.startswith(beginning)), None)


def _row_of(model: type[Model], user: User) -> Any:
    if model is User:
        return user
    request = RequestFactory().get("/")
    request.user = User.objects.filter(is_superuser=True)[0]
    rows = admin.site._registry[model].get_queryset(request)
    mine: dict[type[Model], dict[str, Any]] = {
        Session: {"user": user}, UserCredit: {"pk": user.pk}, BillingAccount: {"pk": user.pk}
    }  # fmt: skip
    return rows.filter(**mine.get(model, {})).first()
