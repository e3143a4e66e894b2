"""Second factors. What the rest of the service asks of them; each kind has its own module beside this one."""

from accounts.factors.rows import (
    MFA,
    NAMES,
    OWN,
    Type,
    announce_added,
    erase,
    erase_factors,
    export,
    locked,
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
    "locked",
    "names_of",
    "of",
    "prove_on",
    "remove",
    "remove_since",
    "with_factor",
]
