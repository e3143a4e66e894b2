"""Alerts for when a user's credits run low."""

from uuid import UUID

import msgspec

from accounts import tiers
from accounts.errors import UserNotFound
from accounts.kit.documentation import documented
from accounts.kit.responses import Response
from accounts.tiers import InternalEndpoint, ServiceRequest
from credits.ledger import states
from credits.views.asked import Credits
from credits.views.examples import USER


class AlertAnswer(msgspec.Struct):
    user_id: UUID
    threshold: int | None


class Alert(InternalEndpoint):
    scope = {"GET": "credits:read", "PUT": "credits:add"}

    class Query(tiers.Query):
        user_id: UUID

    class Body(tiers.Body):
        user_id: UUID
        threshold: Credits | None

    @documented(
        "Get an alert",
        answer=AlertAnswer,
        problems=(UserNotFound,),
        example={"user_id": USER, "threshold": 100},
    )
    def get(self, request: ServiceRequest) -> Response:
        """Returns the threshold set for the user, or null."""
        user_id = self.query(request).user_id
        return Response(AlertAnswer(user_id, states.alert_of(user_id)))

    @documented(
        "Set an alert",
        answer=AlertAnswer,
        problems=(UserNotFound,),
        body_example={"user_id": USER, "threshold": 100},
        example={"user_id": USER, "threshold": 100},
    )
    def put(self, request: ServiceRequest) -> Response:
        """Sends an event `credits.low` each time the available credits fall below the threshold.

        The event is sent at once if they are already below a new threshold. Send null to turn the alert off.
        """
        body = request.data
        states.set_alert(user_id=body.user_id, threshold=body.threshold)
        return Response(AlertAnswer(body.user_id, body.threshold))
