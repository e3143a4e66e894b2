"""Configures the admin: its address, its pages, and what each staff role may do."""

from django.templatetags.static import static

from config.settings.environment import duration, env, permissions_by_role
from config.settings.service import SERVICE_NAME

# The address at which staff reach it: the base of `manage.py staff_enrol` links, and an origin that may use passkeys.
ADMIN_BASE_URL = env.str("ADMIN_BASE_URL").rstrip("/")
ADMIN_MODELS_OF = ["accounts", "credits", "billing"]  # no page for the models of packages
# Sections of the first page and of a user's page, with the permission that each needs (accounts/admin/sections.py).
# Called with `request` and `today`, or `request` and `user`.
ADMIN_FIRST_PAGE = {
    "accounts.admin.first_page.people": "accounts.view_accountday",
    "credits.admin.overview.section": "credits.view_creditday",
    "billing.admin.sections.revenue": "billing.view_revenue",
    "accounts.admin.first_page.queues": "accounts.view_outboxmessage",
}
# What waits for someone to act, at the top of the first page, with the permission that acting needs
# (accounts/admin/waiting.py).
ADMIN_WAITING = {
    "accounts.admin.waiting.contests": "accounts.change_status",
    "credits.admin.waiting.approvals": "credits.approve_adjustment",
    "billing.admin.waiting.refunds": "billing.approve_refund",
    "credits.admin.waiting.overdue": "credits.adjust_credits",
    "billing.admin.waiting.payments": "billing.assign_payment",
    "billing.admin.waiting.inbox": "billing.replay_event",
    "accounts.admin.waiting.mails": "accounts.send_mails",
    "accounts.admin.waiting.deliveries": "accounts.send_mails",
}
ADMIN_USER_PAGE = {
    "credits.admin.user_page.section": "credits.view_usercredit",
    "billing.admin.sections.of_user": "billing.view_billingaccount",
    "accounts.admin.user_page.sessions_section": "accounts.view_session",
    "accounts.admin.user_page.sign_in_section": "accounts.view_user",
    "accounts.admin.user_page.mails_section": "accounts.view_outboxmessage",
    "accounts.admin.user_page.addresses_section": "accounts.view_addresschange",
    "accounts.admin.user_page.activity_section": "accounts.view_auditevent",
}
# Django groups, kept in this state by accounts/upkeep/staff_roles.py: permissions, with * for any letters. None
# contains what only the superuser may do. The variable adds roles, or replaces these.
STAFF_ROLES = {
    "support": [
        "accounts.view_user",
        "accounts.view_session",
        "accounts.view_pendingregistration",
        "accounts.view_mailtoken",
        "accounts.view_outboxmessage",
        "accounts.view_auditevent",
        "accounts.view_addresschange",
        "accounts.view_factorreset",
        "accounts.view_accountday",
        "accounts.change_status",
        "accounts.end_sessions",
        "accounts.reset_factors",
        "accounts.send_mails",
        "credits.view_usercredit",
        "credits.view_credittransaction",
        "credits.view_grant",
        "credits.view_hold",
        "credits.view_featureprice",
        "credits.release_hold",
        "billing.view_billingaccount",
        "billing.view_payment",
        "billing.view_paymentline",
        "billing.view_plan",
    ],
    "finance": [
        "accounts.view_user",
        "credits.view_*",
        "credits.adjust_credits",
        "credits.approve_adjustment",
        "credits.release_hold",
        "billing.view_*",
        "billing.refund_payment",
        "billing.approve_refund",
        "billing.assign_payment",
        "billing.end_subscription",
    ],
    "operator": [
        "accounts.view_accountday",
        "accounts.view_outboxmessage",
        "accounts.view_mailtoken",
        "accounts.view_serviceevent",
        "accounts.view_eventsubscription",
        "accounts.view_eventdelivery",
        "accounts.view_service",
        "accounts.view_servicekey",
        "accounts.view_signingkeyuse",
        "accounts.send_mails",
        "credits.view_creditday",
        "credits.view_featureprice",
        "billing.view_inboxevent",
        "billing.view_customerchange",
        "billing.replay_event",
    ],
    "auditor": ["accounts.view_*", "credits.view_*", "billing.view_*"],
    **permissions_by_role("STAFF_ROLES"),
}
SESSION_ENGINE = "accounts.sessions.of_staff"
# The admin's sessions end when nobody uses them, and in any case after a working day. The API has no session cookie.
ADMIN_SESSION_IDLE, ADMIN_SESSION_LIFETIME = (
    duration("ADMIN_SESSION_IDLE"),
    duration("ADMIN_SESSION_LIFETIME"),
)
SESSION_COOKIE_AGE = int(ADMIN_SESSION_LIFETIME.total_seconds())
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "accounts.admin.site.stale_form"
UNFOLD = {
    "SITE_TITLE": SERVICE_NAME,
    "SITE_HEADER": SERVICE_NAME,
    "SITE_URL": None,
    "SITE_SYMBOL": "shield_person",
    "SHOW_BACK_BUTTON": True,
    "SHOW_HISTORY": False,  # what staff did is in the audit events
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "accounts.admin.first_page.context",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "config.admin_navigation.groups",
    },
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("accounts/favicon.svg")}
    ],
    "STYLES": [
        lambda request: static("accounts/lists.css"),
        lambda request: static("accounts/pages.css"),
    ],
    "SCRIPTS": [
        lambda request: static("accounts/by_keyboard.js"),
        lambda request: static("accounts/sent_once.js"),
    ],
}
