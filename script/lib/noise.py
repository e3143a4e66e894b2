"""Lines that the child processes write at every start and end, and that tell a developer nothing."""

import re

# Everything not listed here is shown: the line that nobody expected is the one that matters.
_NOISE = {
    "postgres": r"LOG:  (starting PostgreSQL|listening on|database system (was shut down|is ready|is shut down)"
    r"|received fast shutdown|aborting any active|shutting down|checkpoint |background worker \"logical rep)",
    "valkey": r".*(Memory overcommit must be enabled|Received SIGTERM scheduling|is now ready to exit)",
    "migrate": r"Privileges of the serving role|Operations to perform:|Running migrations:|  No migrations"
    r"|  Apply all migrations:|  Applying \S+ OK|  Rendering model states"
    r"|Created the superuser",  # whose link is in the greeting
    "plans": r"create  |\d+ of \d+|Nothing",
    "stripe": r"Fake Stripe at",
    "google": r".*AuthlibDeprecationWarning|It will be compatible|  from (authlib|\._compat) import"
    r"|http://|\d+\.\d+\.\d+\.\d+ - - ",
    "worker": r"worker: (Warm|Hitting|Cold)",
}
_PATTERNS = {name: re.compile(pattern) for name, pattern in _NOISE.items()}


def is_noise(name: str, line: str) -> bool:
    """Return whether the child of this name writes this line even when all is well."""
    pattern = _PATTERNS.get(name)
    return bool(pattern and pattern.match(line))
