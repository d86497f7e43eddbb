"""The sign-in that an identity provider's answer ends in, with what its single logout needs; and the end of those of
one session at the provider.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rest_framework import status

from accounts.models import Membership, SignIn
from accounts.principal import Client
from accounts.sso_requirement import BY_SAML
from accounts.tokens import RefreshToken, TokenPair, issue
from spatialflow.errors import ApiError
from sso.models import IdentityProvider, LoginCode, SamlSession, SpentToken, digest
from sso.saml.verdict import Assertion

MAX_FORMAT, MAX_INDEX = 200, 500  # what a row holds
LATE = timedelta(minutes=10)  # so long a session that has ended at the provider begins no sign-in
ENDED = "saml_logout"


class SessionEnded(ApiError):
    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Your session at the identity provider was ended meanwhile. Sign in again."
    default_code = "session_ended"


@dataclass(frozen=True)
class ProviderSession:
    """The session at the provider, in its own words, and when it ends there; and the domain of the address it named."""

    domain: str
    name_id: str
    name_id_format: str
    session_index: str
    session_ends_at: datetime | None

    @classmethod
    def of(cls, assertion: Assertion, domain: str) -> "ProviderSession":
        """Return the session of an assertion about somebody of a mail domain.

        An index that is too long to keep is none: cut, it would name another.
        """
        is_kept = len(assertion.session_index) <= MAX_INDEX
        return cls(
            domain,
            assertion.name_id,
            assertion.name_id_format[:MAX_FORMAT],
            assertion.session_index if is_kept else "",
            assertion.session_ends_at,
        )


def sign_in_member(
    membership: Membership, provider: IdentityProvider, session: ProviderSession, client: Client
) -> TokenPair:
    """Sign a member in, no longer than their session at the provider lasts (SessionNotOnOrAfter, SAML core 2.7.2).

    Within the transaction of `hold_entry`. Raises `AccountChanged`; `SessionEnded` where the provider has just ended
    that session (core 3.7.3.1).
    """
    if _was_ended(provider, session):
        raise SessionEnded()
    pair = issue(membership, BY_SAML, client, ends_by=session.session_ends_at)
    SamlSession.objects.create(
        sign_in_id=RefreshToken.read(pair.refresh_token).sid,
        provider=provider,
        domain=session.domain,
        name_id=session.name_id,
        name_id_format=session.name_id_format,
        session_index=session.session_index,
    )
    return pair


def refuse_late_sign_ins(providers: Sequence[IdentityProvider], name_id: str, session_indexes: Sequence[str]) -> None:
    """Note that sessions at a provider have ended, so that what it said of them before begins no sign-in any more.

    Outside of any transaction, and before `end_sessions` under the workspace's lock: a sign-in that did not see this
    note is over by then, and ends.
    """
    for provider in providers:
        for index in session_indexes:
            SpentToken.objects.spend(provider.provider_name, _ended(name_id, index), LATE)


def end_sessions(providers: Sequence[IdentityProvider], name_id: str, session_indexes: Sequence[str]) -> list[SignIn]:
    """End the sign-ins that connections of one workspace began for a NameID, with the login codes on the way to one,
    and return which they were. Without indexes all of them, else those of these sessions and those of an unknown one.
    """
    meant = {"session_index__in": [*session_indexes, ""]} if session_indexes else {}
    names = [provider.provider_name for provider in providers]
    LoginCode.objects.filter(provider__in=names, name_id=name_id, **meant).delete()
    sessions = SamlSession.objects.filter(provider__in=providers, name_id=name_id, **meant)
    # Only what these connections began in their own workspace has such a session.
    concerned = SignIn.objects.live().filter(id__in=sessions.values("sign_in_id"))
    ended = list(concerned.select_related("user"))
    SignIn.objects.filter(id__in=[sign_in.id for sign_in in ended]).revoke(ENDED)
    return ended


def _was_ended(provider: IdentityProvider, session: ProviderSession) -> bool:
    if not session.session_index:
        return False
    known = digest(_ended(session.name_id, session.session_index))
    return SpentToken.objects.filter(provider=provider.provider_name, digest=known).exists()


def _ended(name_id: str, session_index: str) -> str:
    return f"ended session {name_id} {session_index}"
