"""Register an address and confirm it.

Nobody learns here whether an address is taken: every registration runs the same statements in the same order, one hash
and one mail. Who typed which password is unknown until the mailbox's owner confirms; until then registrations of one
address coexist.
"""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, events, hooks, mail, passwords, sessions
from accounts.audit import Event
from accounts.errors import TokenInvalid
from accounts.identity import address_claims, mail_requests, profile
from accounts.kit import email_address, names, throttles
from accounts.kit.client import Client, network
from accounts.kit.problems import Fault, ServiceUnavailable, ValidationFailed
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import PendingRegistration, User
from accounts.models.users import PendingRegistrationQuerySet


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A requested registration in stored form, with the password hashed."""

    email: str
    password: str
    display_name: str
    locale: str
    after: UUID | None  # the address's newest registration when the password was hashed


class _Overtaken(Exception):
    """Another registration of the address was stored after this password was hashed with the newest one's salt."""


def register(*, email: str, password: str, display_name: str, locale: str, client: Client) -> None:
    """Register the address or, if it has a verified owner, tell them that someone tried.

    Raise ValidationFailed, RateLimited, or ServiceUnavailable if too many passwords are being hashed.
    """
    throttles.take(*throttles.from_network("register", client.limited_ip))
    name, language = names.clean(display_name), profile.clean_locale(locale)
    wrong = _faults(email, password, name, language)
    if wrong:
        raise ValidationFailed(*wrong)
    address = email_address.parse(email)
    attempt = passwords.by_stranger(address, client)
    for is_last in (False, False, True):
        newest = _waiting(address).first()
        wanted = Registration(
            email=address,
            password=passwords.make_hash(password, attempt, like=newest.password if newest else None),
            display_name=name,
            locale=language,
            after=newest.pk if newest else None,
        )
        with suppress(_Overtaken):
            _store(wanted, client, is_last=is_last)
            break


def _faults(email: str, password: str, name: str, locale: str) -> list[Fault]:
    return [
        *email_address.faults(email),
        *passwords.faults(password, known=(email, name)),
        *profile.faults(display_name=name, locale=locale),
    ]


def _waiting(address: str) -> PendingRegistrationQuerySet:
    """Return the address's unconfirmed registrations, newest first."""
    return PendingRegistration.objects.waiting().filter(user__email=address).order_by("-created_at", "-id")


@transaction.atomic
def _store(wanted: Registration, client: Client, *, is_last: bool) -> None:
    """Run the same statements whether or not the address is taken: only their values differ.

    Raise _Overtaken, except on the last attempt: after that many races the registration counts as another person's.
    """
    new_id = uuid4()
    holder = _holder(wanted, new_id)
    newest = _waiting(wanted.email).values_list("pk", flat=True).first()
    if newest != wanted.after and not is_last:
        raise _Overtaken
    taken = holder.email_verified
    registration = PendingRegistration.objects.create(
        user=holder,
        founding=holder.pk == new_id,
        password="" if taken else wanted.password,
        display_name=wanted.display_name,
        locale=wanted.locale,
    )
    purpose = Purpose.RESET if taken else Purpose.VERIFY
    token = tokens.issue(purpose, user_id=holder.pk, email=wanted.email, registration=registration)
    mail.enqueue(mail.ADDRESS_TAKEN if taken else mail.VERIFY_EMAIL, user_id=holder.pk, token=token)
    audit.record(Event.REGISTRATION_OF_TAKEN if taken else Event.REGISTERED, user_id=holder.pk, client=client)
    events.emit_if(registration.founding, "user.registered", user_id=holder.pk)


def _holder(wanted: Registration, new_id: UUID) -> User:
    """Lock and return the address's user, created here if there was none.

    While it is locked, nothing is confirmed.
    """
    row = User(
        id=new_id,
        email=wanted.email,
        password=wanted.password,
        display_name=wanted.display_name,
        locale=wanted.locale,
    )
    User.objects.bulk_create([row], ignore_conflicts=True)
    holder: User | None = User.objects.locked().filter(email=wanted.email).first()
    if holder is None:
        raise ServiceUnavailable  # the address was released between the two statements
    hooks.registered([holder.pk])
    return holder


# ---------------------------------------------------------------- confirmation


def confirm_by_link(text: str, *, client: Client) -> User:
    """Confirm the address by its link. Raise TokenInvalid if it is unknown, used, expired or void, or RateLimited."""
    throttles.take(*throttles.from_network("verify_email", client.limited_ip))
    token_id = tokens.id_from_link(text, Purpose.VERIFY)
    if token_id is None:
        raise TokenInvalid
    return _confirm(token_id, client)


def confirm_by_code(*, email: str, code: str, client: Client) -> User:
    """Confirm the address by the code in the mail, which is valid for 15 minutes and five attempts.

    Raise TokenInvalid or RateLimited.
    """
    address = email_address.normalize(email)
    throttles.take(
        *throttles.from_network("verify_email", client.limited_ip),
        throttles.hit("mail_codes", address, network(client.limited_ip)),
    )
    token_id = tokens.id_from_code(code, email=address, purpose=Purpose.VERIFY)
    if token_id is None:
        raise TokenInvalid
    return _confirm(token_id, client)


def confirmed_before(*, token: str | None, email: str | None, code: str | None) -> User | None:
    """Return the user whose address was already confirmed, as after a second click or with the links of two mails."""
    if token is not None:
        user = tokens.user_of(token, Purpose.VERIFY)
    else:
        address = email_address.normalize(email or "")
        user = tokens.user_of_used_code(code or "", email=address, purpose=Purpose.VERIFY)
    return user if user is not None and user.email_verified else None


@transaction.atomic
def _confirm(token_id: UUID, client: Client) -> User:
    user: User | None = User.objects.locked().mailed(token_id).first()
    if (
        user is None
        or user.email_verified
        or address_claims.is_reserved(user.email or "", other_than=user.pk)
    ):
        raise TokenInvalid
    if not tokens.use(token_id, Purpose.VERIFY):
        raise TokenInvalid
    registration = PendingRegistration.objects.filter(mail_tokens=token_id).first()
    waiting = list(PendingRegistration.objects.waiting().filter(user=user))
    if _is_contested(registration, waiting):
        _settle_contest(user, client)
    else:
        _settle(user, registration, client)
    events.emit("user.verified", user_id=user.pk, data={})
    return user


def _is_contested(registration: PendingRegistration | None, waiting: list[PendingRegistration]) -> bool:
    """Return whether someone other than the person who confirms may know the account's password.

    Repeats with the same password (a double click, a lost answer) do not count: their hashes are equal.
    """
    if registration is None:
        return bool(waiting)
    are_one = len({one.password for one in waiting}) == 1 and any(one.founding for one in waiting)
    return registration not in waiting or not are_one


def _settle(user: User, registration: PendingRegistration | None, client: Client) -> None:
    """Settle one registration, or repeats of it: its password and sessions stay."""
    user.email_verified_at = Now()
    user.save(update_fields=["email_verified_at"])
    if registration is not None:
        PendingRegistration.objects.filter(pk=registration.pk).update(confirmed_at=Now(), password="")
    PendingRegistration.objects.filter(user=user).void()
    audit.record(Event.EMAIL_VERIFIED, user_id=user.pk, client=client)


def _settle_contest(user: User, client: Client) -> None:
    """Settle several registrations: verify the address, void every password, and let the owner choose a new one."""
    user.email_verified_at = Now()
    user.display_name = ""
    user.set_unusable_password()
    user.save(update_fields=["email_verified_at", "display_name", "password"])
    sessions.end_all(user.pk, reason=sessions.EndReason.ADDRESS_CONTESTED)
    PendingRegistration.objects.filter(user=user).void()
    tokens.void_all(user_id=user.pk)
    token = tokens.issue(Purpose.RESET, user_id=user.pk, email=user.email or "")
    mail.enqueue(mail.ADDRESS_CONTESTED, user_id=user.pk, token=token)
    audit.record(Event.ADDRESS_CONTESTED, user_id=user.pk, client=client)


def request_verification(*, email: str, client: Client) -> None:
    """Request another mail. Raise ValidationFailed or RateLimited.

    Write one row, whether or not the address has an account; the worker finds out whether there is anyone to write to.
    """
    wrong = email_address.faults(email)
    if wrong:
        raise ValidationFailed(*wrong)
    address = email_address.normalize(email)
    mail_requests.count("resend_verification", address, client)
    with transaction.atomic():
        mail.enqueue(mail.VERIFICATION_REQUESTED, requested_email=address)
