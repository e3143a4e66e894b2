"""Plans on sale, Checkout, the portal, and storing a card."""

from uuid import UUID

from accounts import tiers
from accounts.kit.documentation import documented
from accounts.kit.responses import Response
from accounts.tiers import InternalEndpoint, ServiceRequest
from billing.errors import (
    AlreadySubscribed,
    BillingObjectNotFound,
    BillingUnavailable,
    PaymentOverdue,
    PlanNotFound,
)
from billing.models import Plan
from billing.shop import checkout, payment_methods, return_urls
from billing.views.answers import (
    PACK,
    SESSION,
    PlanAnswer,
    PortalAnswer,
    SessionAnswer,
    SetupAnswer,
    outcome,
    plan_answer,
)
from billing.views.asked import (
    OF_EVERY_ORDER,
    SCOPES,
    OfUser,
    PlanCode,
    Quantity,
    Url,
    instruction_of,
    stripe_id,
)
from credits.views.examples import USER


class Plans(InternalEndpoint):
    scope = "billing:read"

    @documented("List plans", answer=PlanAnswer, example=PACK, paged=True)
    def get(self, request: ServiceRequest) -> Response:
        """Lists packs and subscriptions by their codes."""
        plans = Plan.objects.filter(active=True)
        page: Response = self.pages.page(plans, request, order=("code",), bound_to={}, render=plan_answer)
        return page


class CheckoutSessions(InternalEndpoint):
    scope = SCOPES

    class Body(tiers.Body):
        user_id: UUID
        plan: PlanCode
        success_url: Url
        cancel_url: Url
        quantity: Quantity | None = None

    @documented(
        "Start a checkout",
        answer=SessionAnswer,
        status=201,
        idempotent=True,
        problems=(*OF_EVERY_ORDER, PlanNotFound, AlreadySubscribed, PaymentOverdue),
        body_example={
            "user_id": USER,
            "plan": PACK["code"],
            "success_url": "https://app.example.com/thanks?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://app.example.com/shop",
        },
        example=SESSION,
    )
    def post(self, request: ServiceRequest) -> Response:
        """Returns the `url` of a Stripe page where the user buys packs or starts a subscription. A user who is
        eligible for the plan's trial gets it there.

        When the user returns, GET this session: by the time it responds, its credits have been granted, without
        waiting for a webhook.
        """
        body = request.data
        return_urls.check(success_url=body.success_url, cancel_url=body.cancel_url)
        return outcome(
            checkout.create(
                instruction_of(request, "checkout"),
                plan_code=body.plan,
                quantity=body.quantity or 1,
                success_url=body.success_url,
                cancel_url=body.cancel_url,
            )
        )


class CheckoutSession(InternalEndpoint):
    scope = "billing:read"
    Query = OfUser

    @documented(
        "Get a checkout",
        answer=SessionAnswer,
        problems=(BillingObjectNotFound, BillingUnavailable),
        example={**SESSION, "url": None, "status": "complete", "credited": True},
    )
    def get(self, request: ServiceRequest, session_id: str) -> Response:
        """Returns the session as it is now. If it has been paid, it is settled at once."""
        user_id = self.query(request).user_id
        return Response(checkout.look_up(user_id=user_id, session_id=stripe_id(session_id)))


class PortalSessions(InternalEndpoint):
    scope = SCOPES

    class Body(tiers.Body):
        user_id: UUID
        return_url: Url

    @documented(
        "Open the customer portal",
        answer=PortalAnswer,
        status=201,
        idempotent=True,
        problems=OF_EVERY_ORDER,
        body_example={"user_id": USER, "return_url": "https://app.example.com/account"},
        example={"url": "https://billing.stripe.com/p/session/test_1"},
    )
    def post(self, request: ServiceRequest) -> Response:
        """Returns the URL of a Stripe page where the user can change cards, see invoices and cancel. It works for a
        few minutes.
        """
        return_urls.check(return_url=request.data.return_url)
        return outcome(
            checkout.open_portal(instruction_of(request, "portal"), return_url=request.data.return_url)
        )


class SetupIntents(InternalEndpoint):
    scope = SCOPES

    class Body(tiers.Body):
        user_id: UUID

    @documented(
        "Start storing a card",
        answer=SetupAnswer,
        status=201,
        idempotent=True,
        problems=OF_EVERY_ORDER,
        body_example={"user_id": USER},
        example={"id": "seti_1Nx", "client_secret": "seti_1Nx_secret_..."},
    )
    def post(self, request: ServiceRequest) -> Response:
        """Returns a client secret with which a front end stores a card through Stripe.js, without charging it."""
        return outcome(payment_methods.begin_setup(instruction_of(request, "setup")))
