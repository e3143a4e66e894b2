"""Single use for the steps of a sign-in with Google. The linked accounts are allauth's SocialAccount rows."""

import uuid

from django.db import models
from django.db.models.functions import Now

from accounts.models.users import User


class SpentProof(models.Model):
    """A state, nonce or ID token that was used. A second insert of the same digest is a replay."""

    digest = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)  # after this, its age alone refuses it

    def __str__(self) -> str:
        return self.digest


class ExchangeCode(models.Model):
    """The right to fetch the tokens of one sign-in, once; the code is not stored (accounts/sign_in/exchange.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="exchange_codes")
    cancel_deletion = models.BooleanField()
    account_state = models.CharField(max_length=64)  # User.state at the sign-in
    # The browser with this binding cookie (its hash) may exchange the code or, if the sign-in began with a challenge,
    # anyone who holds its verifier (RFC 7636).
    browser = models.CharField(max_length=64, db_default="")
    code_challenge = models.CharField(max_length=43, blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"exchange code {self.pk}"
