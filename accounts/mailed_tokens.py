"""Secrets that are mailed: made, stored as digests, and spent once."""

import hashlib
import secrets
from datetime import timedelta

from django.utils import timezone
from rest_framework import status

from accounts.models import MailedToken, User
from spatialflow.errors import ApiError

LIFETIMES = {
    MailedToken.Purpose.VERIFY_EMAIL: timedelta(hours=24),
    MailedToken.Purpose.RESET_PASSWORD: timedelta(hours=1),
    MailedToken.Purpose.CHANGE_EMAIL: timedelta(hours=1),
}


class InvalidMailedToken(ApiError):
    """Unknown, expired, spent or replaced: one answer for all."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = "This link is invalid, expired or already used. Ask for a new one."
    default_code = "invalid_link"


def digest(raw: str) -> bytes:
    return hashlib.sha256(raw.encode()).digest()


def make(user: User, purpose: str, email: str) -> str:
    """Return a new secret for `email`; the one before for the same purpose is worthless from now on."""
    raw = secrets.token_urlsafe(32)
    now = timezone.now()
    MailedToken.objects.update_or_create(
        user=user,
        purpose=purpose,
        defaults={"digest": digest(raw), "email": email, "created_at": now, "expires_at": now + LIFETIMES[purpose]},
    )
    return raw


def consume(raw: str, purpose: str) -> MailedToken:
    """Spend a secret and return its row, which is gone from the database. Raises `InvalidMailedToken`.

    The DELETE decides: of concurrent attempts one gets the row.
    """
    found = MailedToken.objects.raw(
        "DELETE FROM accounts_mailedtoken WHERE digest = %s AND purpose = %s AND expires_at > now() RETURNING *",
        [digest(raw), purpose],
    )
    for token in found:
        return token
    raise InvalidMailedToken()
