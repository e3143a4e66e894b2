"""The billing portal: a session with a page for managing cards and subscriptions."""

import secrets

from tests.fake_stripe.listing import page
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json

CONFIGURATION = "bpc_1FakeStripe"


@route(
    "POST",
    "/v1/billing_portal/sessions",
    "billing_portal.SessionCreateParams",
    "customer return_url locale configuration",
)
def create(store: Store, params: Json) -> Json:
    store.get("customer", params.get("customer"), param="customer")
    identifier = store.new_id("billing_portal.session")
    return store.add(
        "billing_portal.session",
        id=identifier,
        configuration=params.get("configuration", CONFIGURATION),
        customer=params["customer"],
        locale=params.get("locale"),
        return_url=params.get("return_url"),
        url=f"{store.public_url}/p/session/{identifier}_{secrets.token_urlsafe(8).replace('_', '-')}",
    )


SETTINGS = "features default_return_url metadata"


@route("POST", "/v1/billing_portal/configurations", "billing_portal.ConfigurationCreateParams", SETTINGS)
def configure(store: Store, params: Json) -> Json:
    """Create a configuration (https://docs.stripe.com/api/customer_portal/configurations/create)."""
    return store.add(
        "billing_portal.configuration",
        active=True,
        business_profile={"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        default_return_url=params.get("default_return_url"),
        features=params["features"],
        is_default=False,
        login_page={"enabled": False, "url": None},
        metadata={},
        updated=store.now(),
    )


@route("POST", "/v1/billing_portal/configurations/{id}", "billing_portal.ConfigurationUpdateParams", SETTINGS)
def reconfigure(store: Store, params: Json, identifier: str) -> Json:
    found = store.get("billing_portal.configuration", identifier)
    found.update(params)
    return found


@route("GET", "/v1/billing_portal/configurations", "billing_portal.ConfigurationListParams", f"{PAGE} active")
def list_(store: Store, params: Json) -> Json:
    fields = {"active": params["active"]} if "active" in params else {}
    return page(
        store.all("billing_portal.configuration", **fields), params, "/v1/billing_portal/configurations"
    )
