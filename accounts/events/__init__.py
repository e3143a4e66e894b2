"""Events for other services. What the rest of this one asks of them: to record one, and to read them in order."""

from accounts.events.feed import (
    EventAnswer,
    emit,
    emit_all,
    emit_if,
    event_answer,
    give_positions,
    has_unplaced,
    in_order,
    wake,
    wake_on_commit,
)

__all__ = [
    "EventAnswer",
    "emit",
    "emit_all",
    "emit_if",
    "event_answer",
    "give_positions",
    "has_unplaced",
    "in_order",
    "wake",
    "wake_on_commit",
]
