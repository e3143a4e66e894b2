"""Authentication of requests, as a FastAPI dependency."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from auth_service_client.errors import AuthServiceError, TokenRefused
from auth_service_client.tokens import AsyncVerifier, Identity, Verifier

_bearer = HTTPBearer(auto_error=False, description="An access token of the auth service.")
_CHALLENGE = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


def signed_in(
    verifier: Verifier | AsyncVerifier, *, verified: bool = True
) -> Callable[..., Awaitable[Identity]]:
    """Return a dependency that provides the Identity behind the access token: `Depends(signed_in(client))`.

    A request without a live token gets a 401, one without a verified address a 403 (unless `verified=False`), and every
    request a 503 while the auth service does not answer. Pass an AsyncClient; a Client or a JWKSVerifier runs in a
    thread.
    """

    async def identity(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Identity:
        if credentials is None:
            raise HTTPException(401, "Send an access token.", {"WWW-Authenticate": "Bearer"})
        found = await _verified(verifier, credentials.credentials)
        if verified and not found.email_verified:
            raise HTTPException(403, "Verify the email address first.")
        return found

    return identity


async def _verified(verifier: Verifier | AsyncVerifier, token: str) -> Identity:
    try:
        if inspect.iscoroutinefunction(verifier.verify_token):
            identity: Identity = await verifier.verify_token(token)
        else:
            identity = await run_in_threadpool(verifier.verify_token, token)
    except TokenRefused as refusal:
        raise HTTPException(401, str(refusal), _CHALLENGE) from None
    except AuthServiceError as error:
        raise HTTPException(503, "Who you are cannot be found out now.", {"Retry-After": "5"}) from error
    return identity
