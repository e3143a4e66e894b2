"""Limit how often things may be tried (OWASP ASVS 6.3.1): by network, account, mailbox and in all, in one table.

A rule is (how many, in how many seconds) of a sliding window, counted before the work that it guards. Two more numbers,
(free, delay), are pauses: after `free` hits each must wait `delay` seconds for the last one, after as many again twice
as long, and so on up to an hour.
"""

from config.settings.environment import integer

MINUTE, HOUR, DAY = 60, 3600, 86400

RATE_LIMITS_FACTOR = integer("RATE_LIMITS_FACTOR", default=1, least=1)  # raises all of them, for load runs
RATE_LIMITS_NAMESPACE = "limit"  # of their keys in Redis
# Counted in PostgreSQL alone.
DURABLE_RATE_LIMITS = {"wrong_factors", "factor_pauses", "session_factor_pauses", "pause_ended_by_reset"}

# What one customer of a provider has, and the networks around it: each may do so many times as much as that customer.
# A customer with a whole /48 must not get the tries of 65,536.
LIMITED_NETWORKS = {
    4: ((32, 1.0), (24, 4.0)),
    6: ((64, 1.0), (56, 1.33), (48, 1.67)),
}
_BY_NETWORK = {
    # Passwords hashed, right or wrong, at whichever door, before any is (accounts/passwords/attempts.py).
    "proofs": (60, MINUTE),
    "login": (30, MINUTE),  # sign-ins tried
    "admin_login": (30, MINUTE),
    "login_mfa": (30, MINUTE),  # second steps tried
    "passkey_options": (60, MINUTE),
    "passkey_login": (30, MINUTE),
    "google_begin": (60, MINUTE),  # sign-ins with Google begun, and nonces
    "google": (30, MINUTE),  # codes and ID tokens of Google tried
    "register": (20, HOUR),
    "mail_requests": (60, HOUR),  # resets and confirmations asked for, of whichever mailbox
    "verify_email": (60, MINUTE),  # links and codes tried
    "refuse_registration": (30, MINUTE),  # links tried
    "password_reset": (30, MINUTE),  # links tried
    "confirm_email_change": (30, MINUTE),  # links tried
    "undo_email_change": (30, MINUTE),  # links tried
    "cancel_mfa_reset": (30, MINUTE),  # links tried
    "user_lookup": (120, MINUTE),  # public look-ups
}
# By account and one customer's network, not those around it: neighbours must not use up what is the owner's.
_BY_NETWORK_AND_ACCOUNT = {
    "login_failures": (5, 5 * MINUTE),  # wrong passwords
    "proofs_named": (30, 5 * MINUTE),  # passwords hashed for who has only named the account
    "admin_login_failures": (5, 5 * MINUTE),
    "mail_codes": (20, DAY),  # mailed codes tried
}
# Wrong passwords from a network where the account was seen within 30 days (/24, /64), while the account pauses, and on
# a device that has a token of it, always: what others do elsewhere does not count there.
_BY_KNOWN_SOURCE_AND_ACCOUNT = {
    "known_source": (5, HOUR),
    "known_source_in_a_row": (100, 30 * DAY),
}
_BY_ACCOUNT = {
    # Wrong passwords in a row, wherever they come from. The admin has a row of its own: nobody shuts staff out of it at
    # the public listener.
    "login_account": (100, 30 * DAY, 10, 30),
    "admin_login_account": (100, 30 * DAY, 10, 30),
    "device_login": (20, MINUTE),  # sign-ins tried on devices that have a token
    # Wrong second factors in a row, whatever the door; and the pauses of signing in: 15 minutes after each ten, then
    # twice as long.
    "wrong_factors": (100, 7 * DAY),
    "factor_pauses": (100, 7 * DAY, 10, 15 * MINUTE),
    "pause_ended_by_reset": (1, 7 * DAY),
    "proofs_held": (30, 5 * MINUTE),  # passwords hashed for who holds a session or a mailed link
    "factor_changes": (20, HOUR),  # enrolments begun and codes made
    "change_password": (20, HOUR),
    "change_profile": (60, HOUR),
    "change_email": (5, HOUR),
    "google_link": (10, HOUR),
    "export": (5, HOUR),
}
# By session: who has stolen one must not use up what is the owner's.
_BY_SESSION = {
    # Wrong passwords of somebody who is signed in, whatever the call.
    "wrong_proofs": (10, 15 * MINUTE),
    # Wrong second factors, and the pauses of this session. Fewer than the account has in a week: the rest is left.
    "session_factor_pauses": (50, 7 * DAY, 10, 15 * MINUTE),
    "refresh": (60, MINUTE),
}
_BY_MAILBOX = {
    "resend_verification": (3, HOUR),
    "password_reset_request": (3, HOUR),
    # Mails that anyone can cause; what is over is not sent. All but links for a new password leave one place free.
    "mails_by_strangers": (5, HOUR),
    "mails_but_resets": (4, HOUR),
}
_IN_ALL = {
    "mail_requests_in_all": (600, MINUTE),  # about what one worker sends meanwhile
}
RATE_LIMITS = {
    **_BY_NETWORK,
    **_BY_NETWORK_AND_ACCOUNT,
    **_BY_KNOWN_SOURCE_AND_ACCOUNT,
    **_BY_ACCOUNT,
    **_BY_SESSION,
    **_BY_MAILBOX,
    **_IN_ALL,
}
