"""Everything about one user, as staff see it: the sections of accounts, and those that other apps add (settings)."""

from collections.abc import Iterable
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts import factors, sessions
from accounts.admin.sections import Section, Table, collect, link, listed, queued_state, time
from accounts.kit import email_address
from accounts.mail.terms import HOUR, in_units
from accounts.models import (
    AddressChange,
    AuditEvent,
    FactorReset,
    OutboxMessage,
    PendingRegistration,
    Session,
    User,
)

MOST_ROWS = 10
METHOD_WORDS = {"pwd": "password", "otp": "code", "pop": "passkey", "google": "Google"}
FACTOR_WORDS = {"totp": "authenticator app", "passkey": "passkey", "recovery_code": "recovery codes"}
MOST_DEVICE = 60


def context(request: HttpRequest, user: User) -> dict[str, Any]:
    """Return the page's context, of bounded size whatever the user has."""
    return {
        "person": user,
        "figures": _figures(user),
        "warnings": list(_warnings(user)),
        "sections": collect(settings.ADMIN_USER_PAGE, request, user=user),
    }


def _figures(user: User) -> dict[str, str]:
    shown = {
        "Status": user.get_status_display(),
        "Address": f"verified {user.email_verified_at:%Y-%m-%d}"
        if user.email_verified_at
        else "not verified",
        "Since": f"{user.created_at:%Y-%m-%d}",
        "Name": user.display_name or "none",
        "Locale": f"{user.locale}, {user.timezone}",
        "Active sessions": str(sessions.live_of(user.pk).count()),
    }
    if user.is_staff:
        roles = ", ".join(user.groups.values_list("name", flat=True))
        shown["Staff"] = "superuser" if user.is_superuser else roles or "without a role"
    return shown


def _warnings(user: User) -> Iterable[str]:
    if user.deletes_at:
        yield f"The account is closed and will be erased at {time(user.deletes_at)} UTC."
    if user.contested_at:
        yield (
            f"Contested since {time(user.contested_at)} UTC: the old address took the account back after someone had "
            "set a password from the new one. Nothing can be spent or bought until you settle what was bought since."
        )
    if user.status == User.Status.DELETED:
        yield "This account was erased. What is left is kept as proof."
    for reset in FactorReset.objects.open().filter(user=user):
        at = time(reset.applies_at)
        yield f"All second factors will be removed at {at} UTC unless the owner objects: {reset.reason}"


def sessions_section(*, request: HttpRequest, user: User) -> Section:
    may_end = may_act_on(request, user, "accounts.end_sessions")
    rows = Session.objects.filter(user=user).order_by("-last_used_at")[:MOST_ROWS]
    live = set(sessions.live_of(user.pk).values_list("pk", flat=True))
    table = Table(
        columns=("Last used", "Signed in", "By", "From", "Device", "End"),
        rows=[
            (
                link(row.last_used_at, "accounts_session_change", row.pk),
                time(row.created_at),
                methods_of(row),
                row.ip,
                row.user_agent[:MOST_DEVICE],
                _end(row, is_live=row.pk in live, may_end=may_end),
            )
            for row in rows
        ],
        empty="Never signed in.",
    )
    everywhere = ("Sign out everywhere…", reverse("admin:accounts_user_sign_out", args=[user.pk]))
    return Section(
        title="Sessions",
        tables=[table],
        actions=[everywhere] if may_end and live else [],
        links=[("All sessions", listed("accounts_session", user=user.pk))],
        wide=True,
    )


def methods_of(session: Session) -> str:
    """Return the session's sign-in methods in words, without `mfa`, which only says that there were two."""
    names = ", ".join(METHOD_WORDS.get(name, name) for name in session.methods if name != factors.MFA)
    return f"{names}; the admin" if session.door == Session.Door.ADMIN else names


def _end(row: Session, *, is_live: bool, may_end: bool) -> str:
    if row.ended_at:
        return f"{time(row.ended_at)} {row.get_end_reason_display()}"
    if not is_live:
        return "expired"
    return link("End…", "accounts_user_end_session", row.user_id, row.pk) if may_end else ""


def may_act_on(request: HttpRequest, person: User, permission: str) -> bool:
    """Return whether this member of staff has the permission and may act on this user.

    They must be able to view users; only a superuser may act on staff, and nobody on themselves.
    """
    staff = request.user
    if not isinstance(staff, User) or staff.pk == person.pk:
        return False
    if not staff.has_perms(["accounts.view_user", permission]):
        return False
    return staff.is_superuser or not person.is_staff


def mails_section(*, request: HttpRequest, user: User) -> Section:
    rows = OutboxMessage.objects.filter(user=user).order_by("-created_at")[:MOST_ROWS]
    table = Table(
        columns=("Created", "Email", "State", "Attempts", "Error"),
        rows=[
            (
                link(row.created_at, "accounts_outboxmessage_change", row.pk),
                row.kind.replace("_", " "),
                mail_state(row),
                row.attempts,
                row.last_error,
            )
            for row in rows
        ],
        numbers=frozenset({"Attempts"}),
    )
    actions = []
    if may_act_on(request, user, "accounts.send_mails") and user.email:
        offered = ["mail_reset"] if user.email_verified else ["mail_verification", "mail_reset"]
        words = {"mail_verification": "Send verification…", "mail_reset": "Send a reset link…"}
        actions = [(words[name], reverse(f"admin:accounts_user_{name}", args=[user.pk])) for name in offered]
        dead = [str(row.pk) for row in rows if row.dead_at]
        if dead:
            actions.append(
                ("Retry dead emails…", reverse("admin:accounts_user_revive_mails", args=[user.pk]))
            )
    return Section(
        title="Emails",
        tables=[table],
        actions=actions,
        links=[("All emails", listed("accounts_outboxmessage", user=user.pk))],
        wide=True,
    )


def mail_state(row: OutboxMessage) -> str:
    return queued_state(row, "sent", row.sent_at)


def activity_section(*, request: HttpRequest, user: User) -> Section:
    rows = AuditEvent.objects.filter(user=user).order_by("-created_at", "-id")[: 2 * MOST_ROWS]
    table = Table(
        columns=("At", "Event", "By", "From", "Detail"),
        rows=[
            (
                link(row.created_at, "accounts_auditevent_change", row.pk),
                row.type.replace("_", " "),
                actor_link(row.actor),
                row.ip,
                detail_of(row),
            )
            for row in rows
        ],
    )
    return Section(
        title="Activity",
        tables=[table],
        links=[("All activity", listed("accounts_auditevent", user=user.pk))],
        wide=True,
    )


def detail_of(event: AuditEvent) -> str:
    """Return names and values as words, and a list as its members; leave out empty values."""
    return ", ".join(
        f"{name.replace('_', ' ')}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in event.detail.items()
        if value not in (None, "") and name != "document"  # anyone with its URL can see the invoice
    )


def actor_link(actor: str) -> str:
    """Return who did it, if not the user; for a member of staff, a link to their page."""
    kind, _, pk = actor.partition(" ")
    return link("staff", "accounts_user_change", pk) if kind == "staff" and pk else actor


def sign_in_section(*, request: HttpRequest, user: User) -> Section:
    """Show which factors and links exist, never their content."""
    table = Table(
        columns=("Method", "Since", "Last used"),
        rows=[
            *([("password", "", "")] if user.has_usable_password() else []),
            *(
                (FACTOR_WORDS[factors.NAMES[row.type]], time(row.created_at), time(row.last_used_at))
                for row in _factors(user)
            ),
            *(("Google", time(row.date_joined), time(row.last_login)) for row in _google(user)),
        ],
        empty="None: a password reset by email is the only way in.",
    )
    resets = FactorReset.objects.filter(user=user).order_by("-created_at")[:MOST_ROWS]
    promised = Table(
        title="MFA resets",
        columns=("Requested", "By", "Reason", "State"),
        rows=[
            (
                link(row.created_at, "accounts_factorreset_change", row.pk),
                row.actor,
                row.reason,
                reset_state(row),
            )
            for row in resets
        ],
    )
    return Section(
        title="Ways to sign in",
        tables=[table, *([promised] if resets else [])],
        actions=_factor_actions(request, user),
        wide=True,
    )


def _factors(user: User) -> Iterable[Authenticator]:
    rows: Iterable[Authenticator] = factors.of(user.pk).order_by("created_at")
    return rows


def _google(user: User) -> Iterable[SocialAccount]:
    rows: Iterable[SocialAccount] = SocialAccount.objects.filter(user=user).order_by("pk")
    return rows


def _factor_actions(request: HttpRequest, user: User) -> list[tuple[str, str]]:
    if not may_act_on(request, user, "accounts.reset_factors"):
        return []
    return [
        ("End a sign-in pause…", reverse("admin:accounts_user_lift_pause", args=[user.pk])),
        *_removal_of_factors(user),
    ]


def _removal_of_factors(user: User) -> list[tuple[str, str]]:
    if FactorReset.objects.open().filter(user=user).exists():
        return [("Keep the second factors…", reverse("admin:accounts_user_keep_factors", args=[user.pk]))]
    if not user.mfa_enabled:
        return []
    delay = in_units(settings.FACTOR_RESET_DELAY, HOUR)
    remove = reverse("admin:accounts_user_remove_factors", args=[user.pk])
    return [(f"Remove all second factors in {delay} h…", remove)]


def reset_state(row: FactorReset) -> str:
    if row.applied_at:
        return f"done {time(row.applied_at)}"
    return f"cancelled {time(row.cancelled_at)}" if row.cancelled_at else f"due {time(row.applies_at)}"


def addresses_section(*, request: HttpRequest, user: User) -> Section | None:
    changes = AddressChange.objects.filter(user=user).order_by("-created_at")[:MOST_ROWS]
    registrations = PendingRegistration.objects.filter(user=user).order_by("-created_at")[:MOST_ROWS]
    tables = [
        Table(
            title="Changes of address",
            columns=("Requested", "From", "To", "Confirmed", "Ended"),
            rows=[
                (
                    time(row.created_at),
                    email_address.shown(row.old_email),
                    email_address.shown(row.new_email),
                    time(row.confirmed_at),
                    time(row.ended_at),
                )
                for row in changes
            ],
        ),
        Table(
            title="Registrations",
            columns=("At", "Name", "Confirmed", "Void"),
            rows=[
                (time(row.created_at), row.display_name, time(row.confirmed_at), time(row.voided_at))
                for row in registrations
            ],
        ),
    ]
    shown = [table for table in tables if table.rows]
    return Section(title="Addresses", tables=shown, wide=True) if shown else None
