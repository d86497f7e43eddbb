"""The sign-in that an identity provider's answer ends in, with what its single logout needs; and the end of those of
one session at the provider.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rest_framework import status

from accounts.models import Membership, SignIn
from accounts.principal import Client
from accounts.sso_requirement import BY_SAML
from accounts.tokens import RefreshToken, TokenPair, issue
from spatialflow import clock
from spatialflow.errors import ApiError
from sso.models import IdentityProvider, LoginCode, SamlSession, SpentToken, digest
from sso.saml.checks import SKEW, UNSPECIFIED, shifted
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
    """The session at the provider, in its own words, when its person logged in there, and when it ends by the clock
    that is behind; and the domain of the address it named.
    """

    domain: str
    name_id: str
    name_id_format: str
    session_index: str
    session_ends_at: datetime | None
    logged_in_at: datetime | None

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
            shifted(assertion.session_ends_at, SKEW) if assertion.session_ends_at else None,
            min(assertion.logged_in_at, clock.now()),
        )


def sign_in_member(
    membership: Membership, provider: IdentityProvider, session: ProviderSession, client: Client
) -> TokenPair:
    """Sign a member in, no longer than their session at the provider lasts (SessionNotOnOrAfter, SAML core 2.7.2).

    Within the transaction of `hold_entry`. Raises `AccountChanged`; `SessionEnded` where that session is over, or the
    provider has just ended it (core 3.7.3.1).
    """
    refuse_ended(provider, session)
    pair = issue(membership, BY_SAML, client, ends_by=session.session_ends_at)
    SamlSession.objects.create(
        sign_in_id=RefreshToken.read(pair.refresh_token).sid,
        provider=provider,
        domain=session.domain,
        name_id=session.name_id,
        name_id_format=session.name_id_format,
        session_index=session.session_index,
        logged_in_at=session.logged_in_at,
    )
    return pair


def refuse_ended(provider: IdentityProvider, session: ProviderSession) -> None:
    """Raise `SessionEnded` where a session at the provider is over, or the provider has just ended it."""
    is_over = session.session_ends_at is not None and session.session_ends_at <= clock.now()
    if is_over or _was_ended(provider, session):
        raise SessionEnded()


def refuse_late_sign_ins(providers: Sequence[IdentityProvider], name_id: str, session_indexes: Sequence[str]) -> None:
    """Note that sessions at a provider have ended, so that what it said of them before begins no sign-in any more.

    Outside of any transaction, and before `end_sessions` under the workspace's lock: a sign-in that did not see this
    note is over by then, and ends.
    """
    for provider in providers:
        for index in session_indexes:
            SpentToken.objects.spend(provider.provider_name, _ended(name_id, index), LATE)


def end_sessions(
    providers: Sequence[IdentityProvider], name_id: str, name_id_format: str, session_indexes: Sequence[str]
) -> list[SignIn]:
    """End the sign-ins that connections of one workspace began for a NameID, with the login codes on the way to one,
    and return which they were. Without indexes all of them, else those of these sessions and those of an unknown one;
    and those of the format, or of none that is known.
    """
    meant: dict[str, Any] = {"session_index__in": [*session_indexes, ""]} if session_indexes else {}
    if name_id_format:
        meant["name_id_format__in"] = [name_id_format[:MAX_FORMAT], UNSPECIFIED, ""]
    names = [provider.provider_name for provider in providers]
    LoginCode.objects.filter(provider__in=names, name_id=name_id, **meant).delete()
    sessions = SamlSession.objects.filter(provider__in=providers, name_id=name_id, **meant)
    # Only what these connections began in their own workspace has such a session.
    concerned = SignIn.objects.live().filter(id__in=sessions.values("sign_in_id"))
    ended = list(concerned.select_related("user"))
    SignIn.objects.filter(id__in=[sign_in.id for sign_in in ended]).revoke(ENDED)
    return ended


def end_sign_ins_by(provider: IdentityProvider) -> int:
    """End what a connection has signed in, with the login codes on the way to it, and return how many sign-ins that
    were. Under the lock of its workspace, which whoever comes in by it holds as well.
    """
    LoginCode.objects.filter(provider=provider.provider_name).delete()
    begun = SamlSession.objects.filter(provider=provider).values("sign_in_id")
    # Locked in one order, so that two who end sign-ins never wait in a circle.
    live = SignIn.objects.live().filter(id__in=begun).select_for_update(no_key=True).order_by("id")
    return SignIn.objects.filter(id__in=list(live.values_list("id", flat=True))).revoke("connection_ended")


def logged_in_at(sign_in_id: uuid.UUID) -> datetime | None:
    """Return when the person of a sign-in logged in at the identity provider that it came by, if it came by one."""
    return SamlSession.objects.filter(sign_in_id=sign_in_id).values_list("logged_in_at", flat=True).first()


def _was_ended(provider: IdentityProvider, session: ProviderSession) -> bool:
    if not session.session_index:
        return False
    known = digest(_ended(session.name_id, session.session_index))
    return SpentToken.objects.filter(provider=provider.provider_name, digest=known).exists()


def _ended(name_id: str, session_index: str) -> str:
    return f"ended session {name_id} {session_index}"
