"""A user's stored cards, subscriptions and invoices, and their billing status."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from msgspec import UNSET, Meta, UnsetType

from accounts import tiers
from accounts.errors import UserNotFound
from accounts.kit.documentation import documented
from accounts.kit.responses import Response
from accounts.tiers import InternalEndpoint, ServiceRequest
from billing.errors import (
    AlreadySubscribed,
    BillingObjectNotFound,
    BillingRejected,
    BillingUnavailable,
    CancellationPending,
    ChangePending,
    LastPaymentMethod,
    PaymentFailed,
    PaymentMethodRequired,
    PaymentOverdue,
    PlanNotFound,
    TrialUsed,
)
from billing.settlement import trial
from billing.shop import invoices, payment_methods, plan_changes, standing, subscriptions
from billing.shop.plan_changes import When
from billing.views.answers import (
    CARD,
    CHANGE_PREVIEW,
    INVOICE,
    STATUS,
    SUBSCRIPTION,
    ChangePreviewAnswer,
    DefaultAnswer,
    EligibilityAnswer,
    InvoiceAnswer,
    PaymentMethodAnswer,
    StatusAnswer,
    SubscriptionAnswer,
    outcome,
)
from billing.views.asked import (
    OF_EVERY_ORDER,
    SCOPES,
    ChangeMoment,
    OfUser,
    PaymentMethodId,
    PlanCode,
    instruction_of,
    stripe_id,
)
from credits.answers import balance_answer
from credits.ledger import balance
from credits.views.examples import USER

OF_STRIPE = (BillingUnavailable, BillingRejected)
OF_ITS_BUYER = (*OF_EVERY_ORDER, BillingObjectNotFound)


class ListOfUser(InternalEndpoint):
    """A list that belongs to one user, newest first, from the mirror."""

    scope = "billing:read"
    Query = OfUser

    def listed(self, request: ServiceRequest, rows: QuerySet[Any], user_id: UUID, render: Any) -> Response:
        page: Response = self.pages.page(
            rows, request, order=("-created", "-id"), bound_to={"user": user_id}, render=render
        )
        return page


class PaymentMethods(ListOfUser):
    @documented(
        "List stored cards", answer=PaymentMethodAnswer, example=CARD, paged=True, problems=(UserNotFound,)
    )
    def get(self, request: ServiceRequest) -> Response:
        """Lists the user's payment methods, even while Stripe is unavailable."""
        user_id = self.query(request).user_id
        rows, default = standing.payment_methods(user_id)
        return self.listed(
            request, rows, user_id, lambda row: payment_methods.answer(row.stripe_data, default=default)
        )


class PaymentMethod(InternalEndpoint):
    scope = "billing:write"

    class Query(OfUser):
        cancel_at_period_end: bool = False

    @documented(
        "Remove a stored card", status=204, problems=(BillingObjectNotFound, LastPaymentMethod, *OF_STRIPE)
    )
    def delete(self, request: ServiceRequest, payment_method_id: str) -> Response:
        """The card can no longer be charged. Another user's card is a 404. The only card of a subscription that renews
        cannot be removed unless `cancel_at_period_end` ends the subscription.
        """
        asked = self.query(request)
        payment_methods.remove(
            user_id=asked.user_id,
            payment_method=stripe_id(payment_method_id),
            cancel_at_period_end=asked.cancel_at_period_end,
        )
        return Response(status=204)


class DefaultPaymentMethod(InternalEndpoint):
    scope = "billing:write"

    class Body(tiers.Body):
        user_id: UUID
        pay_open: bool = False

    @documented(
        "Make a card the default",
        answer=DefaultAnswer,
        problems=(BillingObjectNotFound, PaymentFailed, *OF_STRIPE),
        body_example={"user_id": USER},
        example={**CARD, "open_invoices": []},
    )
    def post(self, request: ServiceRequest, payment_method_id: str) -> Response:
        """From then on, invoices and subscriptions are paid with this card. Open invoices are listed; `pay_open` tries
        to pay them with it.
        """
        found = payment_methods.make_default(
            user_id=request.data.user_id,
            payment_method=stripe_id(payment_method_id),
            pay_open=request.data.pay_open,
        )
        return Response(found)


class Subscriptions(ListOfUser):
    scope = SCOPES  # type: ignore[assignment]

    class Body(tiers.Body):
        user_id: UUID
        plan: PlanCode
        payment_method: PaymentMethodId | None = None
        trial: bool | None = None

    @documented(
        "List subscriptions",
        answer=SubscriptionAnswer,
        example=SUBSCRIPTION,
        paged=True,
        problems=(UserNotFound,),
    )
    def get(self, request: ServiceRequest) -> Response:
        """Lists the user's subscriptions, including ended ones, even while Stripe is unavailable."""
        user_id = self.query(request).user_id
        rows, account = standing.subscriptions(user_id), standing.account_row(user_id)
        return self.listed(
            request, rows, user_id, lambda row: subscriptions.listed_answer(row.stripe_data, account)
        )

    @documented(
        "Start a subscription",
        answer=SubscriptionAnswer,
        status=201,
        idempotent=True,
        problems=(
            *OF_ITS_BUYER, PlanNotFound, PaymentMethodRequired, PaymentFailed, AlreadySubscribed, TrialUsed,
        ),
        body_example={"user_id": USER, "plan": SUBSCRIPTION["plan"], "payment_method": CARD["id"]},
        example=SUBSCRIPTION,
    )  # fmt: skip
    def post(self, request: ServiceRequest) -> Response:
        """Starts a subscription with a stored card. Its status is `active`, `trialing` or `incomplete`. If it is
        incomplete, which it always is without a payment method, the user has to confirm the payment with
        `client_secret`.

        A plan with a trial starts with it, once per user and per card; set `trial` to false to skip it.
        """
        body = request.data
        return outcome(
            subscriptions.create(
                instruction_of(request, "subscribe"),
                plan_code=body.plan,
                payment_method=body.payment_method,
                wants_trial=body.trial is not False,
            )
        )


class ChangeSubscription(InternalEndpoint):
    scope = "billing:write"

    class Body(tiers.Body):
        user_id: UUID
        plan: PlanCode | None = None
        when: ChangeMoment | None = None
        resume: Annotated[bool, Meta(description="Undoes a planned cancellation.")] | None = None
        next_plan: Annotated[None, Meta(description="Null undoes a planned change.")] | UnsetType = UNSET

    @documented(
        "Change a subscription",
        answer=SubscriptionAnswer,
        idempotent=True,
        problems=(
            *OF_ITS_BUYER, PlanNotFound, PaymentFailed, ChangePending, CancellationPending, PaymentOverdue,
        ),
        body_example={"user_id": USER, "plan": "studio-yearly", "when": "now"},
        example={**SUBSCRIPTION, "plan": "studio-yearly"},
    )  # fmt: skip
    def post(self, request: ServiceRequest, subscription_id: str) -> Response:
        """Switches to another plan. `now` starts a full period, paid in full; its credits are added to those already
        there. `period_end` switches after this period; until then the new plan is `next_plan`. Without `when`, a more
        expensive plan with the same or a longer interval starts now, and any other with the next period.

        If the bank asks the user to confirm, the response has the old `plan`, `pending_plan` and `client_secret`, and
        the change takes effect when it is paid or else expires. If the card is declined, nothing changes. Send
        `"next_plan": null` instead of `plan` to undo a planned change.
        """
        path, body = stripe_id(subscription_id), request.data
        instruction = instruction_of(request, "change", path=path)
        undoes = body.next_plan is None
        plan_changes.require_one_wish(plan=body.plan, undoes=undoes)
        if undoes:
            return outcome(plan_changes.keep(instruction, subscription_id=path))
        return outcome(
            plan_changes.change(
                instruction,
                subscription_id=path,
                plan_code=body.plan,
                when=When(body.when) if body.when else None,
                resume=body.resume is True,
            )
        )


class ChangePreview(InternalEndpoint):
    scope = "billing:read"

    class Query(OfUser):
        plan: PlanCode
        when: ChangeMoment | None = None

    @documented(
        "Preview a change",
        answer=ChangePreviewAnswer,
        problems=(BillingObjectNotFound, PlanNotFound, PaymentOverdue, *OF_STRIPE),
        example=CHANGE_PREVIEW,
    )
    def get(self, request: ServiceRequest, subscription_id: str) -> Response:
        """Returns what a change would cost, including discounts, tax and the user's balance at Stripe, what it would
        give, and when. Changes nothing.
        """
        query = self.query(request)
        found = plan_changes.preview(
            user_id=query.user_id,
            subscription_id=stripe_id(subscription_id),
            plan_code=query.plan,
            when=When(query.when) if query.when else None,
        )
        return Response(msgspec.convert(found, ChangePreviewAnswer))


class EndTrial(InternalEndpoint):
    scope = "billing:write"

    class Body(tiers.Body):
        user_id: UUID

    @documented(
        "End a trial",
        answer=SubscriptionAnswer,
        idempotent=True,
        problems=(*OF_ITS_BUYER, PaymentFailed),
        body_example={"user_id": USER},
        example=SUBSCRIPTION,
    )
    def post(self, request: ServiceRequest, subscription_id: str) -> Response:
        """Charges the first period now and grants its credits. If the card is declined, the trial continues."""
        path = stripe_id(subscription_id)
        return outcome(
            subscriptions.end_trial(instruction_of(request, "end_trial", path=path), subscription_id=path)
        )


class CancelSubscription(InternalEndpoint):
    scope = "billing:write"

    class Body(tiers.Body):
        user_id: UUID
        at_period_end: bool = True

    @documented(
        "Cancel a subscription",
        answer=SubscriptionAnswer,
        problems=(BillingObjectNotFound, *OF_STRIPE),
        body_example={"user_id": USER},
        example={**SUBSCRIPTION, "cancel_at_period_end": True},
    )
    def post(self, request: ServiceRequest, subscription_id: str) -> Response:
        """Cancels at the end of the paid period, or at once. Repeating the call changes nothing."""
        body = request.data
        found = subscriptions.cancel(
            user_id=body.user_id,
            subscription_id=stripe_id(subscription_id),
            at_period_end=body.at_period_end,
        )
        return Response(found)


class ResumeSubscription(InternalEndpoint):
    scope = "billing:write"

    class Body(tiers.Body):
        user_id: UUID

    @documented(
        "Resume a subscription",
        answer=SubscriptionAnswer,
        problems=OF_ITS_BUYER,
        body_example={"user_id": USER},
        example=SUBSCRIPTION,
    )
    def post(self, request: ServiceRequest, subscription_id: str) -> Response:
        """Undoes a cancellation that has not taken effect yet. For a subscription that has ended, the call is refused
        with `billing_rejected`.
        """
        found = subscriptions.resume(user_id=request.data.user_id, subscription_id=stripe_id(subscription_id))
        return Response(found)


class Invoices(ListOfUser):
    @documented("List invoices", answer=InvoiceAnswer, example=INVOICE, paged=True, problems=(UserNotFound,))
    def get(self, request: ServiceRequest) -> Response:
        """Lists the user's invoices, even while Stripe is unavailable."""
        user_id = self.query(request).user_id
        return self.listed(request, standing.invoices(user_id), user_id, standing.invoice_answer)


class PayInvoice(InternalEndpoint):
    scope = "billing:write"

    class Body(tiers.Body):
        user_id: UUID
        payment_method: PaymentMethodId | None = None

    @documented(
        "Pay an invoice",
        answer=InvoiceAnswer,
        idempotent=True,
        problems=(*OF_ITS_BUYER, PaymentFailed),
        body_example={"user_id": USER},
        example=INVOICE,
    )
    def post(self, request: ServiceRequest, invoice_id: str) -> Response:
        """Tries to collect an open invoice now. If the bank asks the user to confirm, they pay it at `hosted_url`."""
        path = stripe_id(invoice_id)
        return outcome(
            invoices.pay(
                instruction_of(request, "pay_invoice", path=path),
                invoice_id=path,
                payment_method=request.data.payment_method,
            )
        )


class TrialEligibility(InternalEndpoint):
    scope = "billing:read"
    Query = OfUser

    @documented(
        "Check trial eligibility",
        answer=EligibilityAnswer,
        problems=(UserNotFound,),
        example={"eligible": True, "reason": "eligible"},
    )
    def get(self, request: ServiceRequest) -> Response:
        """Checks only the user. A card that has already had a trial is refused when it is used."""
        user_id = self.query(request).user_id
        standing.require_known(user_id)
        reason = trial.eligibility(user_id)
        return Response(EligibilityAnswer(reason == trial.ELIGIBLE, reason))


class BillingStatus(InternalEndpoint):
    scope = "billing:read"
    Query = OfUser

    @documented("Get a user's billing status", answer=StatusAnswer, problems=(UserNotFound,), example=STATUS)
    def get(self, request: ServiceRequest) -> Response:
        """Returns the subscription and credits, even while Stripe is unavailable."""
        user_id = self.query(request).user_id
        credits = balance_answer(balance.current(user_id), present=True)
        status, subscription = standing.account(user_id)
        found = msgspec.convert(subscription, SubscriptionAnswer) if subscription else None
        return Response(StatusAnswer(status, found, credits))
