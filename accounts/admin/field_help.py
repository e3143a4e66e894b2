"""Help texts for fields in the admin whose names do not say enough, by model and field.

They are here and not in the models, where each change of wording would be a migration.
"""

ABBREVIATIONS = {"id": "ID", "ip": "IP address", "asserted_ip": "reported IP address", "url": "URL"}
TRIED = {
    "due_at": "When the next attempt is due.",
    "attempts": "How often it has been tried.",
    "dead_at": "When it was given up, after the last attempt. It is tried again only if staff retry it.",
    "last_error": "Why the last attempt failed.",
}
QUEUED = {
    **TRIED,
    "leased_until": "Until then it is reserved for the worker that took it. After that, another one may take it.",
}
SESSION = {
    "door": "Api: the public API. Admin: this admin.",
    "current_issued_at": "When the refresh token that is valid now was issued.",
    "current_expires_at": "When the session ends unless it is used before then.",
    "rotated_at": "When the last refresh token was replaced by the one that is valid now.",
    "retry_until": "Until then, a device that missed its new refresh token can ask for the same one again.",
    "last_used_at": "The last sign-in or refresh; for staff, the last page.",
    "expires_at": "When the session ends, however often it is used.",
    "methods": "How the user proved who they are: pwd is a password, otp a code, pop a passkey, mfa a second factor.",
    "ip": "Where the user signed in from.",
    "user_agent": "The browser or app, as it described itself at sign-in.",
}
REGISTRATION = {
    "founding": "On for the registration that created the user. Later ones for the same address are kept beside it.",
    "locale": "The language of the emails.",
    "confirmed_at": "When the address was confirmed with this registration.",
    "voided_at": "When it lapsed: another one was confirmed, or the owner of the address refused it.",
}
MAIL_TOKEN = {
    "purpose": "The purpose of the link or code.",
    "email": "The address it was sent to.",
    "registration": "The registration it confirms.",
    "change": "The change of address it confirms or undoes.",
    "session": "The session that asked for it.",
    "expires_at": "When the link stops working.",
    "code_expires_at": "When the code stops working. The link may work longer.",
    "code_tries": "How often a code has been entered.",
    "voided_at": "When it stopped working without being used: a newer one replaced it, for example.",
}
OUTBOX_MESSAGE = {
    **QUEUED,
    "token": "The link or code it contains.",
    "event": "The audit log entry it is about.",
    "requested_email": "The address that was typed. Cleared once the email has been dealt with.",
    "sent_at": "When it was dealt with. If nothing was sent, the last error says why.",
}
WEBHOOK = {
    "name": "Its name in commands and logs.",
    "url": "Events are sent to this address by POST.",
    "types": "The events it receives. Empty: all.",
    "enabled": "While it is off, nothing is sent. Events are kept, and sent when it is switched on again.",
}
DELIVERY = {
    **TRIED,
    "position": "The event's place in the feed. Deliveries for one user go out in this order.",
    "due_at": "When the next attempt is due. Empty: finished, or waiting for an earlier event of the user.",
    "last_status": "The HTTP status of the receiver's last answer.",
}
AUDIT_EVENT = {
    "user": "The user whose account it happened to.",
    "actor_page": "The person, command or service that did it.",
    "address": "The IP address the request came from.",
    "asserted_ip": "The user's IP address as reported by the front end's server, which made the request.",
    "user_agent": "The browser or app, as it described itself.",
    "session_id": "The session in which it happened.",
}
ADDRESS_CHANGE = {
    "session": "The session that asked. If it ends before the new address is confirmed, so does the change.",
    "confirmed_at": "When the link sent to the new address was used. From then on it is the user's address.",
    "ended_at": "When it was replaced by a later change, cancelled or undone.",
}
FACTOR_RESET = {
    "actor": "The member of staff who started it.",
    "email": "The address that was notified. If the user has another one by then, nothing is removed.",
    "applies_at": "When all second factors are removed, unless the user or staff cancel this before then.",
}
SERVICE_EVENT = {"data": "The details that services get in addition to the type, the user and the time."}
SERVICE = {
    "name": "Permanent: the credits that a service moves are recorded under its name.",
    "disabled_at": "From then on, none of its keys works.",
}
SERVICE_KEY = {
    "id": "The part of the key that is not secret. It appears in logs.",
    "scopes": "The calls that the key may make.",
    "daily_budget": "How many credits the key may grant per day (UTC). Empty: no limit.",
    "expires_at": "When the key stops working. Empty: never.",
}
SIGNING_KEY_USE = {
    "ring": "The setting that holds the key.",
    "kid": "The key's id in the header of the tokens it signs.",
    "last_signed_at": "Accurate to a few minutes. The key can be removed once the last token it signed has expired.",
}
ACCOUNT_DAY = {
    "measure": "The kind of event that was counted. Refused: sign-ins with a wrong password or second factor.",
    "final": "On once the day is over and its count is complete.",
}
