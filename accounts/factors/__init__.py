"""Second factors: the rows that all kinds share. Each kind has a module of its own in this package."""

from accounts.factors.rows import (
    MFA,
    NAMES,
    OWN,
    Type,
    announce_added,
    erase,
    erase_factors,
    export,
    names_of,
    of,
    prove_on,
    remove,
    remove_since,
    with_factor,
)

__all__ = [
    "MFA",
    "NAMES",
    "OWN",
    "Type",
    "announce_added",
    "erase",
    "erase_factors",
    "export",
    "names_of",
    "of",
    "prove_on",
    "remove",
    "remove_since",
    "with_factor",
]
