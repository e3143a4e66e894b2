"""The list of events, which covers thirty days as at Stripe."""

import fnmatch

from tests.fake_stripe.listing import page
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, Refusal

KEPT_DAYS = 30


@route("GET", "/v1/events", "EventListParams", f"{PAGE} created type types delivery_success")
def list_(store: Store, params: Json) -> Json:
    if "type" in params and "types" in params:
        raise Refusal("You may only specify one of `type` or `types`.", param="types")
    oldest = store.now() - KEPT_DAYS * 86_400
    rows = [row for row in store.all("event") if row["created"] >= oldest]
    if patterns := params.get("types") or [params[name] for name in ("type",) if name in params]:
        rows = [row for row in rows if any(fnmatch.fnmatchcase(row["type"], one) for one in patterns)]
    if "delivery_success" in params:
        rows = [row for row in rows if (row["pending_webhooks"] == 0) is params["delivery_success"]]
    return page(rows, params, "/v1/events")


@route("GET", "/v1/events/{id}", "EventRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("event", identifier)
