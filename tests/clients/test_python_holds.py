"""Holds as blocks: captured or released by themselves, whatever happens inside, once."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from auth_service_client import AsyncClient, AuthServiceError, Client, Hold, Unreachable
from auth_service_client import problems as refusals
from tests.clients.conftest import KEY
from tests.clients.lossy_proxy import LOST, PASSED, LossyProxy, Refusal

pytestmark = pytest.mark.django_db(transaction=True)
Balance = Callable[[str], tuple[int, int]]


class Broken(Exception):
    """Raised by a block."""


def test_a_block_that_ends_captures_all(client: Client, buyer: str, balance: Balance) -> None:
    with client.hold(user_id=buyer, amount=40):
        assert balance(buyer) == (100, 40)
    assert balance(buyer) == (60, 0)


def test_a_block_may_capture_what_was_needed(client: Client, buyer: str, balance: Balance) -> None:
    with client.hold(user_id=buyer, amount=40) as hold:
        hold.capture(amount=15, description="1,500 tokens")
    assert hold.answer["status"] == "captured"
    assert balance(buyer) == (85, 0)


def test_a_block_may_release(client: Client, buyer: str, balance: Balance) -> None:
    with client.hold(user_id=buyer, amount=40) as hold:
        hold.release()
    assert balance(buyer) == (100, 0)


def test_an_exception_releases_and_is_raised(client: Client, buyer: str, balance: Balance) -> None:
    with pytest.raises(Broken), client.hold(user_id=buyer, amount=40):
        raise Broken
    assert balance(buyer) == (100, 0)


def test_without_enough_credits_the_block_never_begins(client: Client, buyer: str) -> None:
    with pytest.raises(refusals.InsufficientCredits), client.hold(user_id=buyer, amount=101):
        raise AssertionError


def test_a_refused_capture_lets_the_credits_go(client: Client, buyer: str, balance: Balance) -> None:
    with pytest.raises(refusals.CaptureExceedsHold), client.hold(user_id=buyer, amount=40) as hold:
        hold.capture(amount=41)
    assert balance(buyer) == (100, 0)


def test_lost_answers_hold_and_capture_once(
    client: Client, proxy: LossyProxy, buyer: str, balance: Balance
) -> None:
    proxy.plan = [LOST]
    with client.hold(user_id=buyer, amount=40):
        proxy.plan = [LOST]
    assert balance(buyer) == (60, 0)


def test_a_capture_without_an_answer_is_not_released_and_may_be_asked_for_again(
    url: str, proxy: LossyProxy, buyer: str, balance: Balance
) -> None:
    def work(hold: Hold) -> None:
        with hold:
            proxy.plan = [LOST]
            hold.capture(amount=10)

    with Client(url, KEY, patience=0) as hasty:
        hold = hasty.hold(user_id=buyer, amount=40)
        with pytest.raises(Unreachable):
            work(hold)
        assert hold.capture(amount=10)["captured"] == 10
    assert balance(buyer) == (90, 0)


@pytest.mark.parametrize(
    "answer",
    [Refusal(502), Refusal(500, "internal_error"), Refusal(409, "idempotency_in_progress")],
    ids=lambda answer: f"{answer.status}",
)
def test_a_capture_whose_answer_leaves_it_open_is_not_released(
    url: str, proxy: LossyProxy, buyer: str, balance: Balance, answer: Refusal
) -> None:
    def work(hold: Hold) -> None:
        with hold:
            hold.capture(amount=10)

    with Client(url, KEY, patience=0) as hasty:
        hold = hasty.hold(user_id=buyer, amount=40)
        proxy.plan = [PASSED, answer]
        with pytest.raises(AuthServiceError):
            work(hold)
        assert balance(buyer) == (100, 40)
        assert hold.capture(amount=10)["captured"] == 10
    assert balance(buyer) == (90, 0)


def test_a_capture_that_cannot_be_written_lets_the_credits_go(
    client: Client, buyer: str, balance: Balance
) -> None:
    with pytest.raises(TypeError, match="JSON"), client.hold(user_id=buyer, amount=40) as hold:
        hold.capture(metadata={"what": object()})
    assert balance(buyer) == (100, 0)


def test_a_release_that_fails_does_not_hide_why(url: str, proxy: LossyProxy, buyer: str) -> None:
    def work(hold: Hold) -> None:
        with hold:
            proxy.plan = [Refusal(503, "service_unavailable")]
            raise Broken

    with Client(url, KEY, patience=0) as hasty:
        hold = hasty.hold(user_id=buyer, amount=40)
        with pytest.raises(Broken) as caught:
            work(hold)
    assert hold.id in caught.value.__notes__[0]


def test_asynchronous_blocks_do_the_same(url: str, buyer: str, balance: Balance) -> None:
    async def three_blocks() -> None:
        async with AsyncClient(url, KEY) as client:
            async with client.hold(user_id=buyer, amount=10):
                pass
            async with client.hold(user_id=buyer, amount=20) as hold:
                await hold.capture(amount=5)
            with pytest.raises(Broken):
                async with client.hold(user_id=buyer, amount=40):
                    raise Broken

    asyncio.run(three_blocks())
    assert balance(buyer) == (85, 0)


def test_a_cancelled_task_releases(url: str, buyer: str, balance: Balance) -> None:
    async def cancelled() -> None:
        async with AsyncClient(url, KEY) as client:
            held = asyncio.Event()

            async def work() -> None:
                async with client.hold(user_id=buyer, amount=40):
                    held.set()
                    await asyncio.sleep(60)

            task = asyncio.create_task(work())
            await held.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    assert balance(buyer) == (100, 0)


def test_a_capture_that_is_cancelled_is_not_released(url: str, buyer: str, balance: Balance) -> None:
    async def cancelled() -> None:
        sending = asyncio.Event()

        async def stall(request: httpx.Request) -> None:
            if request.url.path.endswith("/capture"):
                sending.set()
                await asyncio.sleep(60)

        async with httpx.AsyncClient(event_hooks={"request": [stall]}) as http:

            async def work() -> None:
                async with AsyncClient(url, KEY, http=http).hold(user_id=buyer, amount=40) as hold:
                    await hold.capture(amount=10)

            task = asyncio.create_task(work())
            await sending.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    assert balance(buyer) == (100, 40)
