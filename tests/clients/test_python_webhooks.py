"""Deliveries of the real sender, and of the helper for tests, checked by the Python client."""

from base64 import b64decode
from collections.abc import Callable

import pytest
from standardwebhooks.webhooks import Webhook

from accounts.events import subscriptions
from accounts.models import User
from auth_service_client import WebhookRefused, Webhooks
from auth_service_client.testing import signed_delivery, webhook_secret
from auth_service_client.webhooks import signature
from tests.clients.conftest import Delivery


@pytest.mark.django_db(transaction=True)
class TestRealSender:
    def test_a_delivery_is_a_typed_event(
        self, delivered: Callable[..., Delivery], secret: str, verified_user: User
    ) -> None:
        headers, body = delivered(secret)
        event = Webhooks(secret).verify(body, headers)
        assert event["type"] == "credits.low"
        assert event["data"]["available"] == 3
        assert event["user_id"] == str(verified_user.pk)

    def test_both_secrets_of_a_rotation_are_good(
        self, delivered: Callable[..., Delivery], secret: str
    ) -> None:
        newer = subscriptions.rotate(name="shop", actor="test").secret
        headers, body = delivered(newer, secret)
        for known in ([secret], [newer], [webhook_secret(), secret]):
            assert Webhooks(*known).verify(body, headers)

    def test_another_secret_is_refused(self, delivered: Callable[..., Delivery], secret: str) -> None:
        headers, body = delivered(secret)
        with pytest.raises(WebhookRefused, match="signature"):
            Webhooks(webhook_secret()).verify(body, headers)

    @pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_each_header_counts(self, delivered: Callable[..., Delivery], secret: str, header: str) -> None:
        headers, body = delivered(secret)
        shop = Webhooks(secret)
        other = (
            str(int(headers[header]) - 1) if header == "webhook-timestamp" else f"{headers[header][:-2]}00"
        )
        with pytest.raises(WebhookRefused, match="missing"):
            shop.verify(body, {name: value for name, value in headers.items() if name != header})
        with pytest.raises(WebhookRefused):
            shop.verify(body, {**headers, header: other})

    def test_each_byte_of_the_body_counts(self, delivered: Callable[..., Delivery], secret: str) -> None:
        headers, body = delivered(secret)
        with pytest.raises(WebhookRefused):
            Webhooks(secret).verify(body.replace(b"3", b"4"), headers)
        with pytest.raises(WebhookRefused):
            Webhooks(secret).verify(body + b" ", headers)


class TestHelper:
    def test_what_it_signs_is_a_delivery(self) -> None:
        secret = webhook_secret()
        body, headers = signed_delivery(secret, "user.deleted", {}, id=7)
        assert Webhooks(secret).verify(body, headers)["id"] == 7
        assert Webhook(secret).verify(body, headers)

    @pytest.mark.parametrize("age", [301, -301])
    def test_old_ones_and_ones_from_the_future_are_refused(self, age: int) -> None:
        secret = webhook_secret()
        with pytest.raises(WebhookRefused, match="old"):
            Webhooks(secret).verify(*signed_delivery(secret, "user.deleted", {}, age=age))

    @pytest.mark.parametrize("at", ["", "-1", "1e9", "9" * 13, "9" * 400, "9" * 5000])
    def test_a_time_that_is_not_one_is_refused(self, at: str) -> None:
        secret = webhook_secret()
        body, headers = signed_delivery(secret, "user.deleted", {})
        with pytest.raises(WebhookRefused, match="old"):
            Webhooks(secret).verify(body, {**headers, "webhook-timestamp": at})

    def test_the_body_may_be_text(self) -> None:
        secret = webhook_secret()
        body, headers = signed_delivery(secret, "user.deleted", {"name": "Zoë"})
        assert Webhooks(secret).verify(body.decode(), headers) == Webhooks(secret).verify(body, headers)
        with pytest.raises(WebhookRefused):
            Webhooks(secret).verify("\udce9", headers)

    @pytest.mark.parametrize("body", [b"", b"user.deleted", b"\xe9"])
    def test_a_body_that_is_signed_but_not_json_is_refused(self, body: bytes) -> None:
        secret = webhook_secret()
        _, headers = signed_delivery(secret, "user.deleted", {})
        key = b64decode(secret.removeprefix("whsec_"))
        made = signature(key, headers["webhook-id"], headers["webhook-timestamp"], body)
        with pytest.raises(WebhookRefused, match="not JSON"):
            Webhooks(secret).verify(body, {**headers, "webhook-signature": f"v1,{made}"})

    def test_names_of_headers_come_in_any_case(self) -> None:
        secret = webhook_secret()
        body, headers = signed_delivery(secret, "user.deleted", {})
        assert Webhooks(secret).verify(body, {name.upper(): value for name, value in headers.items()})

    @pytest.mark.parametrize("junk", ["\xe9", "\udce9"], ids=["as latin-1", "as a surrogate"])
    @pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_bytes_that_are_not_ascii_are_refused_like_any_other(self, name: str, junk: str) -> None:
        secret = webhook_secret()
        body, headers = signed_delivery(secret, "user.deleted", {})
        with pytest.raises(WebhookRefused):
            Webhooks(secret).verify(body, {**headers, name: headers[name] + junk})

    @pytest.mark.parametrize("wrong", ["whsec_no base64", "sk_live_1", "", "whsec_", f"whsec_{'A' * 30}=="])
    def test_what_is_not_a_secret_is_refused_when_it_is_read(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="whsec_"):
            Webhooks(wrong)
