"""Verifying what a provider has signed: id tokens (OpenID Connect Core 3.1.3.7), and Apple's notifications.

Everything that a token is measured by is ours: the algorithm, the issuers, the client ids, the address of the keys. Of
its header only `kid` is read, to choose among the keys that the provider publishes there. What is wrong with a token
is told to the log, not to its bearer.
"""

import logging
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
from django.core.exceptions import ValidationError
from rest_framework import status

from accounts.emails import canonical_email
from spatialflow.errors import ApiError
from sso.jwks import find_key
from sso.login import Identity
from sso.models import SpentToken
from sso.providers import Provider

logger = logging.getLogger(__name__)

ALGORITHM = "RS256"  # of Google and of Apple
SKEW_SECONDS = 60
MAX_AGE_SECONDS = 600
MAX_LENGTH = 8192
MAX_SUBJECT_LENGTH = 255
MAX_NAME_LENGTH = 255


class InvalidIdToken(ApiError):
    """One answer for whatever is wrong with it."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "This identity token is invalid, expired or already used. Sign in with the provider again."
    default_code = "invalid_identity_token"


@dataclass(frozen=True)
class Signed:
    """What a provider has signed for us, verified. `signed_part` names it: a signature has several spellings."""

    provider: Provider
    claims: Mapping[str, Any]
    signed_part: str
    max_age_seconds: int

    def refuse_spent(self) -> None:
        """Raise `InvalidIdToken` where it was used before, and leave it as it is."""
        if SpentToken.objects.is_spent(self.provider.name, self.signed_part):
            raise refusal(self.provider, "it was used before")

    def spend(self) -> None:
        """Let it never work again, for as long as it could. Raises `InvalidIdToken` where it was spent before."""
        lifetime = timedelta(seconds=self.max_age_seconds + 3 * SKEW_SECONDS)
        if not SpentToken.objects.spend(self.provider.name, self.signed_part, lifetime):
            raise refusal(self.provider, "it was used before")


@dataclass(frozen=True)
class IdToken(Signed):
    """A verified id token."""

    @property
    def client_id(self) -> str:
        """Return which of our client ids it was made for."""
        audience = self.claims["aud"]
        return audience if isinstance(audience, str) else self.claims.get("azp", audience[0])

    @property
    def nonce(self) -> str | None:
        nonce = self.claims.get("nonce")
        return nonce if isinstance(nonce, str) else None

    def identity(self, name: str = "") -> Identity:
        """Return whom it speaks of; `name` is what the provider says of that elsewhere."""
        is_verified = self.claims.get("email_verified")
        own_name = self.claims.get("name")
        return Identity(
            provider=self.provider.name,
            subject=self.claims["sub"],
            email=_canonical(self.claims.get("email")),
            email_is_verified=is_verified is True or is_verified == "true",  # Apple writes its booleans both ways
            name=printable(name or (own_name if isinstance(own_name, str) else "")),
        )


def verify(provider: Provider, raw: str) -> IdToken:
    """Return a verified id token of at most ten minutes ago. Its nonce, and whether it is spent, is the caller's to
    check. Raises `InvalidIdToken`, `KeysUnavailable`.
    """
    signed = verify_signed(provider, raw, ("iss", "aud", "sub", "iat", "exp"), MAX_AGE_SECONDS)
    if not _is_moment(signed.claims["exp"]):
        raise refusal(provider, "its exp is no moment")
    if not _is_subject(signed.claims["sub"]):
        raise refusal(provider, "its sub is no subject")
    return IdToken(provider, signed.claims, signed.signed_part, signed.max_age_seconds)


def verify_signed(provider: Provider, raw: str, required: tuple[str, ...], max_age_seconds: int) -> Signed:
    """Return what `provider` has signed for a client of ours, with all the `required` claims, no longer ago than that.

    Raises `InvalidIdToken`, `KeysUnavailable`.
    """
    if len(raw) > MAX_LENGTH or not raw.isascii():
        raise refusal(provider, "it is no token")
    try:
        key = find_key(provider.jwks_url, _key_id(provider, raw))
        if key is None:
            raise refusal(provider, "it is signed with an unknown key")
        claims = jwt.decode(
            raw,
            key,
            algorithms=[ALGORITHM],
            issuer=provider.issuers,
            audience=provider.client_ids,
            leeway=SKEW_SECONDS,
            options={"require": list(required)},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise refusal(provider, f"{type(error).__name__}: {error}") from None
    _refuse_foreign_party(provider, claims)
    if not _is_moment(claims["iat"]) or claims["iat"] < time.time() - max_age_seconds - SKEW_SECONDS:
        raise refusal(provider, "it is too old")
    return Signed(provider, claims, raw.rpartition(".")[0], max_age_seconds)


def refusal(provider: Provider, reason: str) -> InvalidIdToken:
    """Return the refusal of a token, whose reason goes to the log."""
    logger.info("token of %s refused: %.200s", provider.name, reason)
    return InvalidIdToken()


def _key_id(provider: Provider, raw: str) -> str:
    header = jwt.get_unverified_header(raw)
    if header.get("alg") != ALGORITHM:  # before anybody is asked for a key
        raise refusal(provider, "its algorithm is not ours")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise refusal(provider, "it names no key")
    return kid


def _refuse_foreign_party(provider: Provider, claims: Mapping[str, Any]) -> None:
    """Raise `InvalidIdToken` for a token that another client asked for, even if it names one of ours as well."""
    is_for_several = isinstance(claims["aud"], list) and len(claims["aud"]) != 1
    party = claims.get("azp")
    if (is_for_several or party is not None) and party not in provider.client_ids:
        raise refusal(provider, "it was made for another client")


def _is_moment(seconds: Any) -> bool:
    """Return whether it is a whole number of seconds, which a boolean is not, of this age of the world."""
    return type(seconds) is int and 0 <= seconds < 2**40


def _is_subject(subject: Any) -> bool:
    """Return whether it is what OpenID Connect Core section 2 allows for `sub`, without blanks."""
    return isinstance(subject, str) and 0 < len(subject) <= MAX_SUBJECT_LENGTH and all("!" <= c <= "~" for c in subject)


def _canonical(email: Any) -> str | None:
    try:
        return canonical_email(email) if isinstance(email, str) else None
    except ValidationError:
        return None


def printable(name: str) -> str:
    """Return a name as it may be kept: it is whatever somebody once typed, so without control characters."""
    kept = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") else " " for c in name)
    return " ".join(kept.split())[:MAX_NAME_LENGTH]
