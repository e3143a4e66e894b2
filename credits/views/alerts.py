"""Being told when a user's credits run low."""

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
    scope = "credits:add"

    class Body(tiers.Body):
        user_id: UUID
        threshold: Credits | None

    @documented(
        "Set an alert",
        answer=AlertAnswer,
        problems=(UserNotFound,),
        body_example={"user_id": USER, "threshold": 100},
        example={"user_id": USER, "threshold": 100},
    )
    def put(self, request: ServiceRequest) -> Response:
        """An event `credits.low` is sent once for each time that the available credits fall below the threshold.

        A threshold of null ends that.
        """
        body = request.data
        states.set_alert(user_id=body.user_id, threshold=body.threshold)
        return Response(AlertAnswer(body.user_id, body.threshold))
