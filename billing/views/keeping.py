"""Stored cards, subscriptions and invoices of a user, and how the user stands."""

from typing import Any
from uuid import UUID

import msgspec
from django.db.models import QuerySet

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
    LastPaymentMethod,
    PaymentFailed,
    PaymentMethodRequired,
    PlanNotFound,
    TrialUsed,
)
from billing.settlement import trial
from billing.shop import invoices, payment_methods, standing, subscriptions
from billing.views.answers import (
    CARD,
    INVOICE,
    STATUS,
    SUBSCRIPTION,
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
        """The user's payment methods, also while Stripe is away."""
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
        """It can be charged no more. Another user's is a 404. The only card of a subscription that renews stays, unless
        `cancel_at_period_end` ends that.
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
        """Invoices and subscriptions are paid with it from now on. What is open is named, and tried with `pay_open`."""
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
        """The user's, the ended ones included, also while Stripe is away."""
        user_id = self.query(request).user_id
        rows = standing.subscriptions(user_id)
        return self.listed(request, rows, user_id, lambda row: subscriptions.answer(row.stripe_data))

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
        """Begins a subscription with a stored card. Its status is `active`, `trialing`, or `incomplete`: then the user
        has to confirm the payment with `client_secret`, as without a payment method.

        A plan with a trial begins with it, once for each user and each card; `trial` false skips it.
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
        plan: PlanCode

    @documented(
        "Change a subscription",
        answer=SubscriptionAnswer,
        idempotent=True,
        problems=(*OF_ITS_BUYER, PlanNotFound, PaymentFailed),
        body_example={"user_id": USER, "plan": "studio-yearly"},
        example={**SUBSCRIPTION, "plan": "studio-yearly"},
    )  # fmt: skip
    def post(self, request: ServiceRequest, subscription_id: str) -> Response:
        """Another plan, paid for from the next period on; another interval begins at once. Nothing is prorated: credits
        that were given for a period are kept.
        """
        path = stripe_id(subscription_id)
        return outcome(
            subscriptions.change(
                instruction_of(request, "change", path=path),
                subscription_id=path,
                plan_code=request.data.plan,
            )
        )


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
        """The first period is paid for now, and gives its credits. Where the card is refused, the trial goes on."""
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
        """With the end of the period that is paid for, or at once. Repeating it changes nothing."""
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
        """Takes back a cancellation that has not come yet. One that has ended is `billing_rejected`."""
        found = subscriptions.resume(user_id=request.data.user_id, subscription_id=stripe_id(subscription_id))
        return Response(found)


class Invoices(ListOfUser):
    @documented("List invoices", answer=InvoiceAnswer, example=INVOICE, paged=True, problems=(UserNotFound,))
    def get(self, request: ServiceRequest) -> Response:
        """The user's, also while Stripe is away."""
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
        """Tries to collect an open one now. Where the bank asks the user, they pay it at `hosted_url`."""
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
        """For the user; a card that had a trial before is refused when it is used."""
        user_id = self.query(request).user_id
        standing.require_known(user_id)
        reason = trial.eligibility(user_id)
        return Response(EligibilityAnswer(reason == trial.ELIGIBLE, reason))


class BillingStatus(InternalEndpoint):
    scope = "billing:read"
    Query = OfUser

    @documented("Get a user's billing status", answer=StatusAnswer, problems=(UserNotFound,), example=STATUS)
    def get(self, request: ServiceRequest) -> Response:
        """Subscription and credits, also while Stripe is away."""
        user_id = self.query(request).user_id
        credits = balance_answer(balance.current(user_id), present=True)
        status, subscription = standing.account(user_id)
        found = msgspec.convert(subscription, SubscriptionAnswer) if subscription else None
        return Response(StatusAnswer(status, found, credits))
