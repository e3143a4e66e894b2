"""The billing portal: a session with a page where cards and subscriptions can be looked after."""

import secrets

from tests.fake_stripe.routing import route
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json

CONFIGURATION = "bpc_1FakeStripe"


@route(
    "POST", "/v1/billing_portal/sessions", "billing_portal.SessionCreateParams", "customer return_url locale"
)
def create(store: Store, params: Json) -> Json:
    store.get("customer", params.get("customer"), param="customer")
    identifier = store.new_id("billing_portal.session")
    return store.add(
        "billing_portal.session",
        id=identifier,
        configuration=CONFIGURATION,
        customer=params["customer"],
        locale=params.get("locale"),
        return_url=params.get("return_url"),
        url=f"{store.public_url}/p/session/{identifier}_{secrets.token_urlsafe(8).replace('_', '-')}",
    )
