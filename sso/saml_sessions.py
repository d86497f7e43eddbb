"""The sign-in that an identity provider's answer ends in, with what its single logout needs."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.models import Membership
from accounts.principal import Client
from accounts.tokens import RefreshToken, TokenPair, issue
from sso.models import IdentityProvider, SamlSession
from sso.saml.verdict import Assertion

MAX_FORMAT, MAX_INDEX = 200, 500  # what a row holds


@dataclass(frozen=True)
class ProviderSession:
    """The session at the provider, in its own words, and when it ends there."""

    name_id: str
    name_id_format: str
    session_index: str
    session_ends_at: datetime | None

    @classmethod
    def of(cls, assertion: Assertion) -> "ProviderSession":
        """Return the session of an assertion. An index that is too long to keep is none: cut, it would name another."""
        is_kept = len(assertion.session_index) <= MAX_INDEX
        return cls(
            assertion.name_id,
            assertion.name_id_format[:MAX_FORMAT],
            assertion.session_index if is_kept else "",
            assertion.session_ends_at,
        )


@transaction.atomic
def sign_in_member(
    membership: Membership, provider: IdentityProvider, session: ProviderSession, client: Client
) -> TokenPair:
    """Sign a member in, no longer than their session at the provider lasts (SessionNotOnOrAfter, SAML core 2.7.2).

    Raises `AccountChanged`.
    """
    pair = issue(membership, "saml", client, ends_by=session.session_ends_at)
    SamlSession.objects.create(
        sign_in_id=RefreshToken.read(pair.refresh_token).sid,
        provider=provider,
        name_id=session.name_id,
        name_id_format=session.name_id_format,
        session_index=session.session_index,
    )
    return pair
