"""What only Apple asks for: client secrets that we sign ourselves, tokens to revoke when a person leaves, and names
that come once.
"""

import logging
import time
import uuid
from urllib.parse import urlsplit

import jwt
from django.conf import settings
from django.db import transaction
from rest_framework import status

from accounts.models import User
from accounts.outbox import enqueue, errand
from spatialflow.encryption import CannotDecrypt, decrypt, encrypt
from spatialflow.errors import ApiError
from sso.idtoken import InvalidIdToken, refusal, verify
from sso.models import AppleRefreshToken
from sso.outbound import (
    REFUSALS_OF_THE_SERVICE,
    Answer,
    ProviderUnavailable,
    ServiceRefused,
    fetch,
    fetch_in_background,
)
from sso.providers import apple

logger = logging.getLogger(__name__)

CLIENT_SECRET_SECONDS = 300  # Apple would take six months


class InvalidAuthorizationCode(ApiError):
    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Apple refused this authorization code; which works once, for five minutes. Sign in again."
    default_code = "invalid_authorization_code"


def client_secret(client_id: str) -> str:
    """Return a secret by which Apple knows this client for five minutes, signed with the team's key (ES256)."""
    now = int(time.time())
    claims = {
        "iss": settings.APPLE_TEAM_ID,
        "sub": client_id,
        "aud": settings.APPLE_ISSUER,
        "iat": now,
        "exp": now + CLIENT_SECRET_SECONDS,
    }
    return jwt.encode(claims, settings.APPLE_PRIVATE_KEY, "ES256", headers={"kid": settings.APPLE_KEY_ID})


def exchange_code(code: str, client_id: str, subject: str) -> str:
    """Trade the authorization code of `subject` for their refresh token at Apple.

    Raises `InvalidAuthorizationCode`, also for the code of somebody else; `ServiceRefused` where Apple does not take
    our settings; `ProviderUnavailable` after 5 seconds; `ProvidersBusy`.
    """
    form = {"code": code, "grant_type": "authorization_code"}
    answer = fetch("POST", settings.APPLE_TOKEN_URL, _authenticated(client_id, form))
    if answer.status != status.HTTP_200_OK:
        raise _why_refused(answer)
    body = answer.json()
    said = body if isinstance(body, dict) else {}
    refresh_token, id_token = str(said.get("refresh_token", "")), str(said.get("id_token", ""))
    if not refresh_token.isascii() or not refresh_token:
        logger.error("%s answered 200 without a refresh token", _host(settings.APPLE_TOKEN_URL))
        raise ProviderUnavailable()
    try:
        if verify(apple(), id_token).claims["sub"] != subject:
            raise refusal(apple(), "its code was made for somebody else")
    except InvalidIdToken:
        raise InvalidAuthorizationCode() from None
    return refresh_token


def _why_refused(answer: Answer) -> ApiError:
    """Return what a refusal of a code means: a spent code is its bearer's to mend, our settings are the operator's."""
    word = answer.error_word()
    if answer.status == status.HTTP_400_BAD_REQUEST and word == "invalid_grant":
        return InvalidAuthorizationCode()
    logger.error("%s answered %s %s", _host(settings.APPLE_TOKEN_URL), answer.status, word)
    is_refusal = 400 <= answer.status < 500 and word in REFUSALS_OF_THE_SERVICE
    return ServiceRefused() if is_refusal else ProviderUnavailable()


def _authenticated(client_id: str, form: dict[str, str]) -> dict[str, str]:
    return {"client_id": client_id, "client_secret": client_secret(client_id), **form}


def _host(url: str) -> str | None:
    return urlsplit(url).hostname


def keep_refresh_token(user: User, client_id: str, refresh_token: str) -> None:
    """Keep what it takes to tell Apple that this person has left; only the latest of a client counts there."""
    AppleRefreshToken.objects.update_or_create(
        user=user, client_id=client_id, defaults={"token": encrypt(refresh_token)}
    )


@transaction.atomic
def revoke_tokens(user_id: uuid.UUID) -> None:
    """Let Apple know, once the caller's transaction has committed, that a person does not sign in with it here any
    more.

    Apple demands it when an account is deleted. It is an errand in the outbox: tried again for an hour while Apple
    does not answer, and nobody waits for it.
    """
    kept = AppleRefreshToken.objects.filter(user_id=user_id)
    for row in kept:
        try:
            enqueue("apple_revocation", client_id=row.client_id, refresh_token=decrypt(row.token))
        except CannotDecrypt:  # its key was taken out of the settings
            logger.warning("a token of Apple's cannot be revoked any more: it cannot be decrypted")
    kept.delete()


@errand("apple_revocation")
def revoke_at_apple(client_id: str, refresh_token: str) -> None:
    """Revoke a refresh token and everything made of it. There is nobody to write to."""
    form = _authenticated(client_id, {"token": refresh_token, "token_type_hint": "refresh_token"})
    answer = fetch_in_background("POST", settings.APPLE_REVOKE_URL, form)
    if answer.status != status.HTTP_200_OK:
        logger.warning("%s answered %s %s", _host(settings.APPLE_REVOKE_URL), answer.status, answer.error_word())
        raise ProviderUnavailable()
