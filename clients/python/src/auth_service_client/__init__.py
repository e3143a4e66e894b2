"""The auth service's client for other services: tokens, credits, holds, billing, events, webhooks."""

from auth_service_client.answers import problem_of
from auth_service_client.asynchronous import AsyncClient, AsyncHold
from auth_service_client.errors import (
    AuthServiceError,
    Problem,
    TokenRefused,
    UnexpectedAnswer,
    Unreachable,
    WebhookRefused,
)
from auth_service_client.events import Event
from auth_service_client.synchronous import Client, Hold
from auth_service_client.tokens import Identity, JWKSVerifier
from auth_service_client.webhooks import Webhooks

__all__ = [
    "AsyncClient",
    "AsyncHold",
    "AuthServiceError",
    "Client",
    "Event",
    "Hold",
    "Identity",
    "JWKSVerifier",
    "Problem",
    "TokenRefused",
    "UnexpectedAnswer",
    "Unreachable",
    "WebhookRefused",
    "Webhooks",
    "problem_of",
]
