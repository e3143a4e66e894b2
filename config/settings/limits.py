"""Limits on attempts (OWASP ASVS 6.3.1), by network, account, mailbox and in total, from the table
config/settings/table.py.

A rule is (how many, in how many seconds) of a sliding window, counted before the work that it guards. Two more numbers,
(free, delay), define pauses: after `free` hits, each one must wait `delay` seconds after the last; after as many again
twice as long, and so on up to an hour.
"""

from config.settings.environment import integer, limit
from config.settings.table import TABLE

RATE_LIMITS_FACTOR = integer("RATE_LIMITS_FACTOR")  # raises all limits, for load runs
RATE_LIMITS_NAMESPACE = "limit"  # the prefix of their keys in Redis
# Counted only in PostgreSQL.
DURABLE_RATE_LIMITS = {"wrong_factors", "factor_pauses", "session_factor_pauses", "pause_ended_by_reset"}

# The network of one customer of a provider, and the wider networks around it, each with its multiple of that customer's
# limit. A customer with a whole /48 must not get the attempts of 65,536.
LIMITED_NETWORKS = {
    4: ((32, 1.0), (24, 4.0)),
    6: ((64, 1.0), (56, 1.33), (48, 1.67)),
}
RATE_LIMITS = {
    **{name.removeprefix("LIMIT_").lower(): limit(name) for name in TABLE if name.startswith("LIMIT_")},
    # A front end's assertion of its client's address works once, by its key and id (accounts/front_ends), for as long
    # as it is valid with differing clocks.
    "assertion": (1, 120),
}
