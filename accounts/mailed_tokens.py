"""Secrets that are mailed: made, stored as digests, and spent once."""

import hashlib
import secrets
from datetime import timedelta

from rest_framework import status

from accounts.models import MailedToken, User
from spatialflow import clock
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
    now = clock.now()
    MailedToken.objects.update_or_create(
        user=user,
        purpose=purpose,
        defaults={"digest": digest(raw), "email": email, "created_at": now, "expires_at": now + LIFETIMES[purpose]},
    )
    return raw


def find_person(raw: str, purpose: str) -> User:
    """Return whom a secret was mailed to, unspent. Raises `InvalidMailedToken`."""
    unspent = MailedToken.objects.filter(digest=digest(raw), purpose=purpose, expires_at__gt=clock.now())
    token = unspent.select_related("user").first()
    if token is None:
        raise InvalidMailedToken()
    return token.user


def consume_for_person(raw: str, purpose: str) -> tuple[User, str]:
    """Spend a secret within the caller's transaction and return its person, locked, and the address it was mailed to.

    The lock comes first and is held to the end: what replaces one person's credentials happens one after the other.
    Raises `InvalidMailedToken`, also for a person who is not active.
    """
    holder = User.objects.select_for_update(no_key=True, of=("self",)).filter(
        mailed_tokens__digest=digest(raw), mailed_tokens__purpose=purpose, is_active=True
    )
    user = holder.first()
    if user is None:
        raise InvalidMailedToken()
    return user, consume(raw, purpose).email


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
