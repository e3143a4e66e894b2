"""Sessions, opened, rotated, read and ended: one per signed-in device, each with one live refresh token."""

from accounts.sessions.ending import (
    EndReason,
    end,
    end_all,
    end_by_token,
    end_one,
    end_others,
    sign_out_everywhere,
    sign_out_others,
)
from accounts.sessions.lineage import ProofToken, TokenPair, open_session, proof_token, rotate
from accounts.sessions.reading import hold_user, live_of, note_use_of_successor, read
from accounts.sessions.recency import methods_of, require_factor, require_recent, shows_enough

__all__ = [
    "EndReason",
    "ProofToken",
    "TokenPair",
    "end",
    "end_all",
    "end_by_token",
    "end_one",
    "end_others",
    "hold_user",
    "live_of",
    "methods_of",
    "note_use_of_successor",
    "open_session",
    "proof_token",
    "read",
    "require_factor",
    "require_recent",
    "rotate",
    "shows_enough",
    "sign_out_everywhere",
    "sign_out_others",
]
