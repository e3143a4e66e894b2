"""The service's internal API for asynchronous code. script/clients generates synchronous.py from this file."""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import quote
from uuid import UUID

import httpx

from auth_service_client import types
from auth_service_client.answers import encoded, in_header, query_of, read
from auth_service_client.asynchronous_waiting import Connections, answer_of, shielded, sleep
from auth_service_client.errors import AuthServiceError, TokenRefused, may_be_done
from auth_service_client.events import Event
from auth_service_client.retries import Tries, new_key
from auth_service_client.tokens import LONGEST_CACHE, Identity, RecentAnswers, check_form

SECONDS_TO_RELEASE = 10.0
Id = str | UUID
Operation = (
    types.UseOperation
    | types.AddOperation
    | types.HoldOperation
    | types.CaptureOperation
    | types.ReleaseOperation
    | types.RefundOperation
)


class EventsPage(TypedDict):
    """Some events, and the cursor after them. Keep it: even the last page has one."""

    results: list[Event]
    next: str


class AsyncClient:
    """Calls the internal listener with a service's key. Share one client per process: it keeps connections open.

    `patience` is how long all tries of a call may take together, and `timeout` how long one may wait for its answer;
    `patience=0` makes one try. Calls raise a Problem where they are refused, Unreachable where no answer came.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        patience: float = 30.0,
        timeout: float = 15.0,
        cache_seconds: float = LONGEST_CACHE,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError("The address of the service begins with http:// or https://.")
        self._url = url.rstrip("/")
        self._headers = {"X-API-Key": in_header("The API key", api_key), "User-Agent": "auth-service-client"}
        self._patience, self._timeout = patience, timeout
        self._connections = Connections(http)
        self._recent = RecentAnswers(cache_seconds)
        self.users = AsyncUsers(self)
        self.credits = AsyncCredits(self)
        self.billing = AsyncBilling(self)
        self.events = AsyncEvents(self)

    async def verify_token(self, token: str) -> Identity:
        """Return the identity behind an access token, as the service reported it within the last `cache_seconds`.

        Raise TokenRefused if the token is not live. Needs the scope `tokens:introspect`.
        """
        check_form(token)
        if found := self._recent.get(token):
            return found
        answer: types.Introspection = await self.call("POST", "/v1/tokens/introspect", body={"token": token})
        if not answer["active"]:
            raise TokenRefused("The access token is not live.")
        identity = Identity.of(answer)
        self._recent.put(token, identity)
        return identity

    def hold(self, *, idempotency_key: str | None = None, **body: Unpack[types.HoldsBody]) -> "AsyncHold":
        """Set credits aside while a block runs: `async with client.hold(user_id=..., amount=100) as hold`."""
        return AsyncHold(self.credits, body, idempotency_key or new_key())

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Any:
        """Make any call of the API and return its document, retrying it by the rule in `retries`.

        Use it for calls that have no method here. They must be safe to repeat, through their key or by their nature.
        """
        content = None if body is None else encoded(body)
        headers = {**self._headers, **({} if content is None else {"Content-Type": "application/json"})}
        if key is not None:
            headers["Idempotency-Key"] = in_header("The Idempotency-Key", key)
        tries = Tries(self._patience)
        while True:
            pause: float | None
            try:
                response = await answer_of(
                    self._connections.get(),
                    tries.seconds(self._timeout),
                    method=method,
                    url=self._url + path,
                    params=query_of(query or {}),
                    content=content,
                    headers=headers,
                )
            except (httpx.TransportError, httpx.DecodingError) as error:
                pause = tries.pause_after_silence(error)
            else:
                pause = tries.pause_after(response)
                if pause is None:
                    return read(response)
            await sleep(pause)

    async def pages(self, path: str, query: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Yield the entries of a list, fetching each page when it is needed."""
        cursor: str | None = None
        while True:
            page = await self.call("GET", path, query={**query, "cursor": cursor})
            for entry in page["results"]:
                yield entry
            cursor = page["next"]
            if cursor is None:
                return

    async def aclose(self) -> None:
        """Close the connections, unless they belong to an `http` that you passed in."""
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncUsers:
    """Looks users up. Needs the scope `users:read`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self, user_id: Id) -> types.KnownUser:
        answer: types.KnownUser = await self._client.call("GET", f"/v1/users/{_part(user_id)}")
        return answer

    async def by_email(self, email: str) -> types.KnownUser:
        answer: types.KnownUser = await self._client.call("GET", f"/v1/users/by-email/{_part(email)}")
        return answer

    async def lookup(self, **body: Unpack[types.LookUpUsersBody]) -> list[types.KnownUser]:
        """Return the users found among up to 100 `emails` or `ids`."""
        found: types.FoundUsers = await self._client.call("POST", "/v1/users/lookup", body=body)
        return found["results"]


class AsyncEvents:
    """Reads the feed of events. Needs the scope `events:read`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def read(
        self, cursor: str | None = None, *, types: Sequence[str] = (), limit: int | None = None
    ) -> EventsPage:
        """Return the events after the cursor, oldest first; without a cursor, from the beginning. None is ever
        skipped.
        """
        query = {"cursor": cursor, "types": ",".join(types) or None, "limit": limit}
        page: EventsPage = await self._client.call("GET", "/v1/events", query=query)
        return page


class AsyncCredits:
    """The ledger. Each call that needs an Idempotency-Key gets a new one unless you pass it. Pass your own, such as an
    order's id, if another process may carry out the same intention again.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def balance(self, **query: Unpack[types.GetBalanceQuery]) -> types.BalanceAnswer:
        answer: types.BalanceAnswer = await self._client.call("GET", "/v1/credits/balance", query=query)
        return answer

    async def use(
        self, *, idempotency_key: str | None = None, **body: Unpack[types.UseCreditsBody]
    ) -> types.TransactionAnswer:
        """Take credits at once: `amount`, or `feature` and `quantity`. Raise InsufficientCredits if there are too
        few.
        """
        return await self._post("use", body, idempotency_key)

    async def add(
        self, *, idempotency_key: str | None = None, **body: Unpack[types.AddCreditsBody]
    ) -> types.TransactionAnswer:
        return await self._post("add", body, idempotency_key)

    async def refund(
        self, *, idempotency_key: str | None = None, **body: Unpack[types.RefundCreditsBody]
    ) -> types.TransactionAnswer:
        """Return the credits of a use: `amount` of them, or all that is left."""
        return await self._post("refund", body, idempotency_key)

    async def batch(self, operations: Sequence[Operation]) -> list[types.Result]:
        """Carry out 1 to 1,000 independent operations; `problem_of` turns a refused one's problem into an exception."""
        keyed = [{"idempotency_key": new_key(), **operation} for operation in operations]
        answer: types.BatchAnswer = await self._client.call(
            "POST", "/v1/credits/batch", body={"operations": keyed}
        )
        return answer["results"]

    def transactions(
        self, **query: Unpack[types.ListTransactionsQuery]
    ) -> AsyncIterator[types.TransactionAnswer]:
        """Yield all matching transactions, newest first; `limit` is the page size."""
        return self._client.pages("/v1/credits/transactions", query)

    async def transaction(self, transaction_id: Id) -> types.TransactionAnswer:
        path = f"/v1/credits/transactions/{_part(transaction_id)}"
        answer: types.TransactionAnswer = await self._client.call("GET", path)
        return answer

    async def alert(self, **query: Unpack[types.GetAlertQuery]) -> types.AlertAnswer:
        answer: types.AlertAnswer = await self._client.call("GET", "/v1/credits/alerts", query=query)
        return answer

    async def set_alert(self, **body: Unpack[types.AlertBody]) -> types.AlertAnswer:
        """Have `credits.low` sent when less than `threshold` is available; None removes the alert."""
        answer: types.AlertAnswer = await self._client.call("PUT", "/v1/credits/alerts", body=body)
        return answer

    async def place_hold(
        self, *, idempotency_key: str | None = None, **body: Unpack[types.HoldsBody]
    ) -> types.HoldAnswer:
        """Set credits aside until `capture_hold` or `release_hold`; `Client.hold` calls these for you."""
        return await self._hold("holds", body, idempotency_key)

    async def capture_hold(
        self, hold_id: Id, *, idempotency_key: str | None = None, **body: Unpack[types.CaptureHoldBody]
    ) -> types.HoldAnswer:
        """Spend `amount` of the hold, or all of it; the rest is returned."""
        return await self._hold(f"holds/{_part(hold_id)}/capture", body, idempotency_key)

    async def release_hold(self, hold_id: Id, *, idempotency_key: str | None = None) -> types.HoldAnswer:
        return await self._hold(f"holds/{_part(hold_id)}/release", {}, idempotency_key)

    def holds(self, **query: Unpack[types.ListHoldsQuery]) -> AsyncIterator[types.HoldAnswer]:
        return self._client.pages("/v1/credits/holds", query)

    async def get_hold(self, hold_id: Id) -> types.HoldAnswer:
        answer: types.HoldAnswer = await self._client.call("GET", f"/v1/credits/holds/{_part(hold_id)}")
        return answer

    async def _post(self, verb: str, body: Mapping[str, Any], key: str | None) -> types.TransactionAnswer:
        answer: types.TransactionAnswer = await self._client.call(
            "POST", f"/v1/credits/{verb}", body=body, key=key or new_key()
        )
        return answer

    async def _hold(self, path: str, body: Mapping[str, Any], key: str | None) -> types.HoldAnswer:
        answer: types.HoldAnswer = await self._client.call(
            "POST", f"/v1/credits/{path}", body=body, key=key or new_key()
        )
        return answer


class AsyncHold:
    """Credits set aside while a block runs: `async with client.hold(user_id=..., amount=100) as hold`.

    The end of the block captures all of them, unless the block has called `capture` or `release`; an exception releases
    them. If the block's own `capture` gets no answer or is cancelled, nothing is released, since it may have been
    carried out: repeat the same `capture` to find out. A hold that is neither captured nor released expires.
    """

    answer: types.HoldAnswer

    def __init__(self, credits: AsyncCredits, body: types.HoldsBody, key: str) -> None:
        self._credits, self._body, self._key = credits, body, key
        self._is_settled = False

    @property
    def id(self) -> str:
        return self.answer["id"]

    async def capture(self, **body: Unpack[types.CaptureHoldBody]) -> types.HoldAnswer:
        """Spend `amount` of the hold, or all of it; the rest is returned. Repeating the call returns the first
        outcome.
        """
        try:
            self.answer = await self._credits.capture_hold(
                self.id, idempotency_key=f"capture-{self.id}", **body
            )
        except BaseException as error:
            self._is_settled = may_be_done(error)
            raise
        self._is_settled = True
        return self.answer

    async def release(self) -> types.HoldAnswer:
        """Return all of the credits."""
        self.answer = await self._credits.release_hold(self.id, idempotency_key=f"release-{self.id}")
        self._is_settled = True
        return self.answer

    async def __aenter__(self) -> Self:
        self.answer = await self._credits.place_hold(idempotency_key=self._key, **self._body)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_settled:
            return
        if error is None:
            await self.capture()
            return
        with shielded(SECONDS_TO_RELEASE):
            try:
                await self.release()
            except AuthServiceError as failed:
                error.add_note(f"The hold {self.id} was not released, and runs out by itself: {failed}")


class AsyncBilling:
    """Sells credits and subscriptions. Needs the scopes `billing:read` and `billing:write`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def plans(self) -> AsyncIterator[types.PlanAnswer]:
        return self._client.pages("/v1/billing/plans", {})

    async def start_checkout(
        self, *, idempotency_key: str | None = None, **body: Unpack[types.CheckoutSessionsBody]
    ) -> types.SessionAnswer:
        answer: types.SessionAnswer = await self._post("checkout-sessions", body, idempotency_key)
        return answer

    async def checkout(self, session_id: str, *, user_id: Id) -> types.SessionAnswer:
        """Return a checkout, settling it on the spot if it has been paid (`credited`)."""
        answer: types.SessionAnswer = await self._get(f"checkout-sessions/{_part(session_id)}", user_id)
        return answer

    async def open_portal(
        self, *, idempotency_key: str | None = None, **body: Unpack[types.PortalSessionsBody]
    ) -> types.PortalAnswer:
        answer: types.PortalAnswer = await self._post("portal-sessions", body, idempotency_key)
        return answer

    async def start_storing_card(
        self, *, idempotency_key: str | None = None, **body: Unpack[types.SetupIntentsBody]
    ) -> types.SetupAnswer:
        answer: types.SetupAnswer = await self._post("setup-intents", body, idempotency_key)
        return answer

    def cards(self, *, user_id: Id) -> AsyncIterator[types.PaymentMethodAnswer]:
        return self._client.pages("/v1/billing/payment-methods", {"user_id": user_id})

    async def remove_card(self, card_id: str, **query: Unpack[types.RemoveStoredCardQuery]) -> None:
        await self._client.call("DELETE", f"/v1/billing/payment-methods/{_part(card_id)}", query=query)

    async def make_card_default(
        self, card_id: str, **body: Unpack[types.DefaultPaymentMethodBody]
    ) -> types.DefaultAnswer:
        path = f"/v1/billing/payment-methods/{_part(card_id)}/default"
        answer: types.DefaultAnswer = await self._client.call("POST", path, body=body)
        return answer

    async def subscribe(
        self, *, idempotency_key: str | None = None, **body: Unpack[types.SubscriptionsBody]
    ) -> types.SubscriptionAnswer:
        return await self._subscription("", body, idempotency_key or new_key())

    def subscriptions(self, *, user_id: Id) -> AsyncIterator[types.SubscriptionAnswer]:
        return self._client.pages("/v1/billing/subscriptions", {"user_id": user_id})

    async def change_subscription(
        self,
        subscription_id: str,
        *,
        idempotency_key: str | None = None,
        **body: Unpack[types.ChangeSubscriptionBody],
    ) -> types.SubscriptionAnswer:
        key = idempotency_key or new_key()
        return await self._subscription(f"/{_part(subscription_id)}/change", body, key)

    async def preview_change(
        self, subscription_id: str, **query: Unpack[types.PreviewChangeQuery]
    ) -> types.ChangePreviewAnswer:
        path = f"/v1/billing/subscriptions/{_part(subscription_id)}/change-preview"
        answer: types.ChangePreviewAnswer = await self._client.call("GET", path, query=query)
        return answer

    async def cancel_subscription(
        self, subscription_id: str, **body: Unpack[types.CancelSubscriptionBody]
    ) -> types.SubscriptionAnswer:
        return await self._subscription(f"/{_part(subscription_id)}/cancel", body, None)

    async def resume_subscription(
        self, subscription_id: str, **body: Unpack[types.ResumeSubscriptionBody]
    ) -> types.SubscriptionAnswer:
        return await self._subscription(f"/{_part(subscription_id)}/resume", body, None)

    async def end_trial(
        self, subscription_id: str, *, idempotency_key: str | None = None, **body: Unpack[types.EndTrialBody]
    ) -> types.SubscriptionAnswer:
        key = idempotency_key or new_key()
        return await self._subscription(f"/{_part(subscription_id)}/end-trial", body, key)

    def invoices(self, *, user_id: Id) -> AsyncIterator[types.InvoiceAnswer]:
        return self._client.pages("/v1/billing/invoices", {"user_id": user_id})

    async def pay_invoice(
        self, invoice_id: str, *, idempotency_key: str | None = None, **body: Unpack[types.PayInvoiceBody]
    ) -> types.InvoiceAnswer:
        answer: types.InvoiceAnswer = await self._post(
            f"invoices/{_part(invoice_id)}/pay", body, idempotency_key
        )
        return answer

    async def trial_eligibility(self, *, user_id: Id) -> types.EligibilityAnswer:
        answer: types.EligibilityAnswer = await self._get("trial-eligibility", user_id)
        return answer

    async def status(self, *, user_id: Id) -> types.StatusAnswer:
        answer: types.StatusAnswer = await self._get("status", user_id)
        return answer

    async def _get(self, path: str, user_id: Id) -> Any:
        return await self._client.call("GET", f"/v1/billing/{path}", query={"user_id": user_id})

    async def _post(self, path: str, body: Mapping[str, Any], key: str | None) -> Any:
        return await self._client.call("POST", f"/v1/billing/{path}", body=body, key=key or new_key())

    async def _subscription(
        self, path: str, body: Mapping[str, Any], key: str | None
    ) -> types.SubscriptionAnswer:
        answer: types.SubscriptionAnswer = await self._client.call(
            "POST", f"/v1/billing/subscriptions{path}", body=body, key=key
        )
        return answer


def _part(value: Id) -> str:
    return quote(str(value), safe="")
