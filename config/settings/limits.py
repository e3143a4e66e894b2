"""Limit how often things may be tried (OWASP ASVS 6.3.1): by network, account, mailbox and in all, in one table
(config/settings/table.py).

A rule is (how many, in how many seconds) of a sliding window, counted before the work that it guards. Two more numbers,
(free, delay), are pauses: after `free` hits each must wait `delay` seconds for the last one, after as many again twice
as long, and so on up to an hour.
"""

from config.settings.environment import integer, limit
from config.settings.table import TABLE

RATE_LIMITS_FACTOR = integer("RATE_LIMITS_FACTOR")  # raises all of them, for load runs
RATE_LIMITS_NAMESPACE = "limit"  # of their keys in Redis
# Counted in PostgreSQL alone.
DURABLE_RATE_LIMITS = {"wrong_factors", "factor_pauses", "session_factor_pauses", "pause_ended_by_reset"}

# What one customer of a provider has, and the networks around it: each may do so many times as much as that customer.
# A customer with a whole /48 must not get the tries of 65,536.
LIMITED_NETWORKS = {
    4: ((32, 1.0), (24, 4.0)),
    6: ((64, 1.0), (56, 1.33), (48, 1.67)),
}
RATE_LIMITS = {
    **{name.removeprefix("LIMIT_").lower(): limit(name) for name in TABLE if name.startswith("LIMIT_")},
    # By its key and id, what a front end's server says of its client's address counts once (accounts/front_ends), for
    # as long as it is good, with clocks that differ.
    "assertion": (1, 120),
}
