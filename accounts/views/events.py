"""The feed of events, for services that cannot receive webhooks."""

from accounts import events, tiers
from accounts.events import EventAnswer, event_answer
from accounts.kit.documentation import documented
from accounts.kit.responses import Response
from accounts.tiers import InternalEndpoint, ServiceRequest


class Events(InternalEndpoint):
    scope = "events:read"

    class Query(tiers.Query):
        types: str | None = None

    @documented(
        "List events",
        answer=EventAnswer,
        paged=True,
        example={
            "id": 4711,
            "type": "credits.low",
            "created_at": "2026-11-23T10:00:00Z",
            "user_id": "8d0f2c1e-5b7a-4a56-9d38-1c0de5a1f2b3",
            "data": {"threshold": 100, "available": 80},
        },
    )
    def get(self, request: ServiceRequest) -> Response:
        """Lists events, oldest first. `types` selects some of them, separated by commas.

        Once there are any events, even the last page has `next`: store it, and call again with it later.
        """
        named = (self.query(request).types or "").split(",")
        types = sorted({name.strip() for name in named} - {""})
        page: Response = self.pages.page(
            events.in_order(types),
            request,
            order=("position",),
            bound_to={"types": types},
            render=event_answer,
            endless=True,
        )
        return page
