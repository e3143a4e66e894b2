"""Sessions: one signed-in device each, with one live refresh token. Opened, rotated, read and ended here."""

from accounts.sessions.lineage import (
    EndReason,
    TokenPair,
    end,
    end_all,
    end_one,
    end_others,
    live_of,
    open_session,
    read,
    rotate,
    sign_out_everywhere,
    sign_out_others,
)

__all__ = [
    "EndReason",
    "TokenPair",
    "end",
    "end_all",
    "end_one",
    "end_others",
    "live_of",
    "open_session",
    "read",
    "rotate",
    "sign_out_everywhere",
    "sign_out_others",
]
