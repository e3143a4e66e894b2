"""Limits how often things may be tried (OWASP ASVS 6.3.1)."""

from config.settings.environment import integer

# Every rule is (how many, in how many seconds) of a sliding window; the factor raises all of them, for load runs. Two
# more numbers: (free, delay) after `free` hits each must wait `delay` seconds for the last one, after as many again
# twice as long, and so on up to an hour.
RATE_LIMITS_FACTOR = integer("RATE_LIMITS_FACTOR", default=1, least=1)
RATE_LIMITS_NAMESPACE = "limit"  # of their keys in Redis
DURABLE_RATE_LIMITS = {"wrong_factors"}  # counted in PostgreSQL alone
RATE_LIMITS = {
    "login_failures": (5, 300),  # wrong passwords, per account and address of the client
    # Wrong passwords in a row per account, wherever they come from; the known address of its owner counts by itself.
    "login_account": (100, 30 * 86400, 10, 30),
    "login": (30, 60),  # sign-ins tried, per address of the client
    "register": (20, 3600),  # registrations, per address of the client
    "refresh": (60, 60),  # per session
    "resend_verification": (3, 3600),  # per mailbox
    "password_reset_request": (3, 3600),  # per mailbox
    "password_reset": (30, 60),  # reset links tried, per address of the client
    "refuse_registration": (30, 60),  # links tried, per address of the client
    # Wrong passwords and codes of somebody who is signed in, per account, whatever the call.
    "wrong_proofs": (10, 900),
    # Wrong second factors in a row per account, whatever the door: 10, then a pause of 15 minutes, and so on.
    "wrong_factors": (100, 7 * 86400, 10, 900),
    "login_mfa": (30, 60),  # second steps tried, per address of the client
    "passkey_options": (60, 60),  # per address of the client
    "passkey_login": (30, 60),  # per address of the client
    "factor_changes": (20, 3600),  # enrolments begun and codes made, per account
    "cancel_mfa_reset": (30, 60),  # links tried, per address of the client
    "change_password": (20, 3600),  # per account
    "verify_email": (60, 60),  # links and codes tried, per address of the client
    "mail_codes": (20, 86400),  # codes tried, per e-mail address
    "change_email": (5, 3600),  # per account
    "confirm_email_change": (30, 60),  # links tried, per address of the client
    "undo_email_change": (30, 60),  # links tried, per address of the client
    "export": (5, 3600),  # per account
    "google_begin": (60, 60),  # sign-ins with Google begun and nonces, per address of the client
    "google": (30, 60),  # codes and ID tokens of Google tried, per address of the client
    "google_link": (10, 3600),  # per account
    "user_lookup": (120, 60),  # public look-ups, per address of the client
    "mails_by_strangers": (5, 3600),  # mails that anyone can cause, per mailbox; what is over is not sent
}
