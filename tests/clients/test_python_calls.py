"""The Python client against the running internal listener: calls, typed refusals, repeats, pages."""

import asyncio
import contextlib
import gc
import inspect
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import User
from accounts.tests.strangers import dripping_port
from auth_service_client import (
    AsyncClient,
    AuthServiceError,
    Client,
    Problem,
    UnexpectedAnswer,
    Unreachable,
    problem_of,
)
from auth_service_client import problems as refusals
from credits.models import CreditTransaction
from free_ports import free_port
from tests.clients.conftest import KEY, missing
from tests.clients.lossy_proxy import LOST, LossyProxy, Refusal

pytestmark = pytest.mark.django_db(transaction=True)


def uses(user_id: str) -> int:
    return CreditTransaction.objects.filter(holder_id=user_id, type="use").count()


def test_a_use_is_answered_with_its_row(client: Client, buyer: str, balance: Callable[[str], object]) -> None:
    row = client.credits.use(user_id=buyer, amount=30, description="One picture")
    assert (row["amount"], row["balance_after"], row["service"]) == (-30, 70, "shop")
    assert balance(buyer) == (70, 0)
    assert client.credits.transaction(row["id"]) == row


def test_two_calls_have_two_keys_and_the_caller_may_give_one(
    client: Client, proxy: LossyProxy, buyer: str
) -> None:
    for key in (None, None, "order-4711", "order-4711"):
        client.credits.use(user_id=buyer, amount=1, idempotency_key=key)
    assert len(set(proxy.keys)) == 3
    assert uses(buyer) == 3


def test_values_of_python_are_written_as_the_contract_has_them(
    client: Client, make_user: Callable[..., User]
) -> None:
    user, later = make_user(), datetime.now(UTC) + timedelta(days=1)
    client.credits.add(user_id=user.pk, amount=5, expires_at=later, metadata={"für": "Ähre"})
    (grant,) = client.credits.transactions(user_id=user.pk, since=later - timedelta(days=2))
    assert grant["metadata"] == {"für": "Ähre"}


def test_a_refusal_is_the_exception_of_its_code(client: Client, buyer: str) -> None:
    with pytest.raises(refusals.InsufficientCredits) as caught:
        client.credits.use(user_id=buyer, amount=1000)
    refusal = caught.value
    assert (refusal.status, refusal.available, refusal.required) == (402, 100, 1000)
    assert isinstance(refusal, Problem)
    assert refusal.request_id
    assert uses(buyer) == 0


def test_a_wrong_field_is_named(client: Client, buyer: str) -> None:
    with pytest.raises(refusals.ValidationError) as caught:
        client.credits.use(user_id=buyer, amount=0)
    assert [(one["field"], one["code"]) for one in caught.value.errors] == [("amount", "too_small")]


def test_a_wrong_key_is_told_from_a_refusal_of_the_call(url: str) -> None:
    with Client(url, "svc_wrong") as stranger, pytest.raises(refusals.APIKeyInvalid):
        stranger.billing.plans().__next__()


def test_a_lost_answer_is_asked_for_again_and_spends_once(
    client: Client, proxy: LossyProxy, buyer: str
) -> None:
    proxy.plan = [LOST, LOST]
    row = client.credits.use(user_id=buyer, amount=30)
    assert row["balance_after"] == 70
    assert len(proxy.keys) == 3
    assert len(set(proxy.keys)) == 1
    assert uses(buyer) == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # nobody can close what a loop that ended has left
def test_each_event_loop_has_connections_of_its_own(url: str, buyer: str) -> None:
    client = AsyncClient(url, KEY)
    for _ in range(2):
        asyncio.run(client.credits.use(user_id=buyer, amount=1))
    assert uses(buyer) == 2
    del client
    gc.collect()


def test_a_redirect_does_not_take_the_key_elsewhere(client: Client, proxy: LossyProxy, buyer: str) -> None:
    elsewhere = LossyProxy(proxy.port)
    with elsewhere.running() as url:
        proxy.plan = [Refusal(307, headers={"Location": f"{url}/v1/credits/use"})]
        with pytest.raises(UnexpectedAnswer):
            client.credits.use(user_id=buyer, amount=30)
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(503, "service_unavailable", {"Retry-After": "1"}),
        Refusal(429, "rate_limited", {"Retry-After": "1"}),
        Refusal(409, "idempotency_in_progress", {"Retry-After": "1"}),
        Refusal(500, "internal_error", {"Retry-After": "1"}),
        Refusal(502, None, {"Retry-After": "1"}),
    ],
    ids=lambda refusal: f"{refusal.status} {refusal.code}",
)
def test_a_busy_service_is_asked_again_when_it_says(
    client: Client, proxy: LossyProxy, buyer: str, refusal: Refusal
) -> None:
    proxy.plan = [refusal]
    client.credits.use(user_id=buyer, amount=30)
    first, second = proxy.seen
    assert second.at - first.at >= 1.0
    assert first.key == second.key
    assert uses(buyer) == 1


def test_without_retry_after_pauses_are_short_at_first(client: Client, proxy: LossyProxy, buyer: str) -> None:
    proxy.plan = [Refusal(502), Refusal(504)]
    client.credits.use(user_id=buyer, amount=30)
    assert uses(buyer) == 1


@pytest.mark.parametrize("said", ["soon", "-1", "Mon, 01 Jan 99999999999 00:00:00 GMT"])
def test_a_retry_after_that_makes_no_sense_counts_as_none(
    client: Client, proxy: LossyProxy, buyer: str, said: str
) -> None:
    proxy.plan = [Refusal(503, "service_unavailable", {"Retry-After": said})]
    client.credits.use(user_id=buyer, amount=30)
    assert uses(buyer) == 1


@pytest.mark.parametrize("said", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_that_is_over_is_no_leave_to_ask_without_a_pause(
    client: Client, proxy: LossyProxy, buyer: str, said: str
) -> None:
    proxy.plan = [Refusal(503, "service_unavailable", {"Retry-After": said})] * 4
    client.credits.use(user_id=buyer, amount=30)
    assert proxy.seen[-1].at - proxy.seen[0].at >= 0.75  # half of 0.1, 0.2, 0.4 and 0.8


def test_an_answer_that_cannot_be_decoded_is_asked_for_again(
    client: Client, proxy: LossyProxy, buyer: str
) -> None:
    proxy.plan = [Refusal(200, headers={"Content-Encoding": "gzip"}, body=b"not gzip")]
    client.credits.use(user_id=buyer, amount=30)
    assert len(set(proxy.keys)) == 1
    assert uses(buyer) == 1


@pytest.mark.parametrize(
    "body", [b'{"code": 5, "message": "Not Found"}', b'{"code": "NOT_FOUND"}', b'["code"]']
)
def test_a_refusal_of_a_gateway_is_not_taken_for_ours(
    client: Client, proxy: LossyProxy, buyer: str, body: bytes
) -> None:
    proxy.plan = [Refusal(404, body=body)]
    with pytest.raises(UnexpectedAnswer) as caught:
        client.credits.use(user_id=buyer, amount=30)
    assert caught.value.status == 404


@pytest.mark.parametrize("key", ["svc_secret\n", "svc_secret\r\n", " svc_secret", "svc_sécret"])
def test_a_key_that_no_header_can_have_is_refused_at_once_and_not_told(url: str, key: str) -> None:
    with pytest.raises(ValueError, match="line feed") as caught:
        Client(url, key)
    assert key.strip() not in str(caught.value)


def test_an_idempotency_key_that_no_header_can_have_is_refused_at_once(
    client: Client, proxy: LossyProxy, buyer: str
) -> None:
    with pytest.raises(ValueError, match="Idempotency-Key"):
        client.credits.use(user_id=buyer, amount=30, idempotency_key="order\n4711")
    assert proxy.seen == []


@pytest.mark.parametrize("address", ["localhost:8001", "", "ftp://localhost"])
def test_an_address_without_a_scheme_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Client(address, KEY)


@pytest.mark.parametrize(
    ("refusal", "raised"),
    [
        (Refusal(409, "balance_limit"), refusals.BalanceLimit),
        (Refusal(503, "service_unavailable", {"Retry-After": "600"}), refusals.ServiceUnavailable),
        (Refusal(418, "newer_than_this_client"), Problem),
        (Refusal(404, None), UnexpectedAnswer),
    ],
    ids=lambda value: str(getattr(value, "code", "")),
)
def test_other_answers_stand(
    client: Client, proxy: LossyProxy, buyer: str, refusal: Refusal, raised: type[Exception]
) -> None:
    proxy.plan = [refusal]
    with pytest.raises(raised) as caught:
        client.credits.use(user_id=buyer, amount=30)
    assert len(proxy.seen) == 1
    if refusal.headers:
        assert getattr(caught.value, "retry_after", None) == 600


def test_nobody_there_is_unreachable_once_patience_is_over() -> None:
    started = time.monotonic()
    with Client(f"http://127.0.0.1:{free_port()}", KEY, patience=0.5) as client, pytest.raises(Unreachable):
        client.credits.use(user_id="x", amount=1)
    assert time.monotonic() - started < 5


def test_an_answer_that_only_drips_is_none_in_time() -> None:
    """httpx's own time-out begins again with every byte."""

    async def asked(url: str) -> None:
        async with AsyncClient(url, KEY, patience=0.5, timeout=0.5) as client:
            await client.credits.use(user_id="x", amount=1)

    with dripping_port() as port:
        url, started = f"http://127.0.0.1:{port}", time.monotonic()
        with Client(url, KEY, patience=0.5, timeout=0.5) as client, pytest.raises(Unreachable):
            client.credits.use(user_id="x", amount=1)
        with pytest.raises(Unreachable):
            asyncio.run(asked(url))
        assert time.monotonic() - started < 5


def test_a_batch_makes_keys_and_repeats_as_a_whole(client: Client, proxy: LossyProxy, buyer: str) -> None:
    proxy.plan = [LOST]
    results = client.credits.batch(
        [
            {"op": "use", "user_id": buyer, "amount": 10},
            {"op": "use", "user_id": buyer, "amount": 500},
            {"op": "use", "user_id": buyer, "amount": 20},
        ]
    )
    assert [one["status"] for one in results] == [201, 402, 201]
    assert [one["replayed"] for one in results] == [True, False, True]
    refusal = problem_of(results[1]["problem"])
    assert isinstance(refusal, refusals.InsufficientCredits)
    assert refusal.available == 70
    assert uses(buyer) == 2


def test_a_list_goes_on_over_its_pages(client: Client, proxy: LossyProxy, buyer: str) -> None:
    for _ in range(4):
        client.credits.use(user_id=buyer, amount=1)
    proxy.seen.clear()
    rows = client.credits.transactions(user_id=buyer, limit=2)
    assert [next(rows)["amount"], next(rows)["amount"]] == [-1, -1]
    assert len(proxy.seen) == 1
    assert [row["amount"] for row in rows] == [-1, -1, 100]
    assert len(proxy.seen) == 3


def test_users_are_looked_up(client: Client, make_user: Callable[..., User]) -> None:
    user = make_user("ada+1@example.com")
    assert client.users.get(user.pk)["email"] == "ada+1@example.com"
    assert client.users.by_email("ada+1@example.com")["id"] == str(user.pk)
    assert [found["id"] for found in client.users.lookup(ids=[user.pk])] == [str(user.pk)]
    with pytest.raises(refusals.UserNotFound):
        client.users.by_email("nobody@example.com")


def test_every_call_of_services_has_a_method(url: str, proxy: LossyProxy) -> None:
    with Client(url, KEY, patience=0) as client:
        for group in (client, client.users, client.credits, client.billing, client.events):
            for name, method in inspect.getmembers(group, inspect.ismethod):
                if not name.startswith("_") and name not in NOT_CALLS:
                    with contextlib.suppress(AuthServiceError):
                        called(method)
    assert missing(proxy.seen) == set()


NOT_CALLS = {"call", "pages", "close", "hold"}
ARGUMENTS = {"token": "a.b.c", "operations": []}


def called(method: Callable[..., object]) -> None:
    """Call a method with something for each argument that it needs, and begin the list that it gives."""
    needed = [one for one in inspect.signature(method).parameters.values() if one.default is one.empty]
    answer = method(
        **{one.name: ARGUMENTS.get(one.name, "x") for one in needed if one.kind != one.VAR_KEYWORD}
    )
    if isinstance(answer, Iterator):
        next(answer, None)


def test_the_feed_is_read_from_a_cursor_on(client: Client, buyer: str) -> None:
    first = client.events.read(types=["credits.added"])
    client.credits.add(user_id=buyer, amount=7)
    (event,) = client.events.read(first["next"], types=["credits.added"])["results"]
    assert event["type"] == "credits.added"
    assert event["data"]["amount"] == 7
