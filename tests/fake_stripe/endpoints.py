"""Webhook endpoints and the account itself."""

import secrets

from tests.fake_stripe.kinds import API_VERSION
from tests.fake_stripe.listing import page
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal

ACCOUNT = "acct_1FakeStripe00000"


def add(store: Store, *, url: str, secret: str, enabled_events: list[str] | None = None) -> Json:
    endpoint = store.add(
        "webhook_endpoint",
        api_version=API_VERSION,
        enabled_events=enabled_events or ["*"],
        metadata={},
        status="enabled",
        url=url,
    )
    store.private[endpoint["id"]]["secret"] = secret
    return endpoint


def add_account(store: Store) -> None:
    store.add(
        "account",
        id=ACCOUNT,
        business_profile={"name": "Fake Stripe", "support_email": None, "support_phone": None, "url": None},
        business_type="company",
        capabilities={"card_payments": "active", "transfers": "active"},
        charges_enabled=True,
        country="DE",
        default_currency="eur",
        details_submitted=True,
        email="owner@example.com",
        metadata={},
        payouts_enabled=True,
        settings={
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_payments": dict.fromkeys(
                (
                    "statement_descriptor_prefix",
                    "statement_descriptor_prefix_kana",
                    "statement_descriptor_prefix_kanji",
                )
            ),
            "dashboard": {"display_name": "Fake Stripe", "timezone": "Etc/UTC"},
            "payments": dict.fromkeys(
                ("statement_descriptor", "statement_descriptor_kana", "statement_descriptor_kanji")
            ),
        },
        type="standard",
    )


@route("GET", "/v1/account", "AccountRetrieveCurrentParams")
def own_account(store: Store, params: Json) -> Json:
    return store.get("account", ACCOUNT)


@route("GET", "/v1/accounts/{id}", "AccountRetrieveParams")
def account(store: Store, params: Json, identifier: str) -> Json:
    return store.get("account", identifier)


@route(
    "POST",
    "/v1/webhook_endpoints",
    "WebhookEndpointCreateParams",
    "url enabled_events metadata description api_version",
)
def create(store: Store, params: Json) -> Json:
    """Create an endpoint; only this answer contains its secret."""
    if params.get("api_version", API_VERSION) != API_VERSION:
        raise Refusal(
            f"The fake Stripe sends {API_VERSION} only.", param="api_version", code="fake_unsupported"
        )
    secret = f"whsec_{secrets.token_urlsafe(24)}"
    endpoint = add(store, url=params["url"], secret=secret, enabled_events=params["enabled_events"])
    endpoint.update(metadata=merged(None, params.get("metadata")), description=params.get("description"))
    return {**endpoint, "secret": secret}


@route("GET", "/v1/webhook_endpoints", "WebhookEndpointListParams", PAGE)
def list_(store: Store, params: Json) -> Json:
    return page(store.all("webhook_endpoint"), params, "/v1/webhook_endpoints")


@route("GET", "/v1/webhook_endpoints/{id}", "WebhookEndpointRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("webhook_endpoint", identifier)


@route(
    "POST",
    "/v1/webhook_endpoints/{id}",
    "WebhookEndpointUpdateParams",
    "url enabled_events metadata description disabled",
)
def update(store: Store, params: Json, identifier: str) -> Json:
    endpoint = store.get("webhook_endpoint", identifier)
    if "disabled" in params:
        params["status"] = "disabled" if params.pop("disabled") else "enabled"
    if "metadata" in params:
        params["metadata"] = merged(endpoint["metadata"], params["metadata"])
    endpoint.update(params)
    return endpoint


@route("DELETE", "/v1/webhook_endpoints/{id}", "WebhookEndpointDeleteParams")
def delete(store: Store, params: Json, identifier: str) -> Json:
    store.get("webhook_endpoint", identifier)
    del store.tables["webhook_endpoint"][identifier]
    return {"id": identifier, "object": "webhook_endpoint", "deleted": True}
