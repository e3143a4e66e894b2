"""The models of users, and of everything stored about how they sign in.

PostgreSQL is the source of truth: single use, uniqueness and revocation are constraints and single statements on these
tables.
"""

from accounts.models.addresses import AddressChange, MailToken
from accounts.models.event_delivery import EventDelivery, EventDispatch, EventSubscription
from accounts.models.factors import FactorReset, MFAToken, PasskeyChallenge, TOTPEnrolment, UsedTOTPStep
from accounts.models.google import ExchangeCode, SpentProof
from accounts.models.outbox import OutboxMessage, ServiceEvent
from accounts.models.records import AccountDay, AuditEvent, RateLimitWindow, SigningKeyUse
from accounts.models.services import FrontEndKey, Service, ServiceKey
from accounts.models.sessions import Session
from accounts.models.users import PendingRegistration, User

__all__ = [
    "AccountDay",
    "AddressChange",
    "AuditEvent",
    "EventDelivery",
    "EventDispatch",
    "EventSubscription",
    "ExchangeCode",
    "FactorReset",
    "FrontEndKey",
    "MFAToken",
    "MailToken",
    "OutboxMessage",
    "PasskeyChallenge",
    "PendingRegistration",
    "RateLimitWindow",
    "Service",
    "ServiceEvent",
    "ServiceKey",
    "Session",
    "SigningKeyUse",
    "SpentProof",
    "TOTPEnrolment",
    "UsedTOTPStep",
    "User",
]
