"""Events for other services, recorded in the transaction of their cause and read in the order of their commits."""

from accounts.events.feed import (
    EventAnswer,
    emit,
    emit_all,
    emit_if,
    event_answer,
    give_positions,
    has_unplaced,
    in_order,
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
]
