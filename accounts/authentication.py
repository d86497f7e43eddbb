"""Authentication by access token: `Authorization: Bearer` (RFC 6750 section 2.1), and what both kinds of credential
share.
"""

import uuid
from datetime import datetime
from typing import Protocol

from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.cookies import REFRESH_COOKIE
from accounts.principal import Principal
from accounts.scopes import (
    ACCOUNT_OWN,
    KEYS_ALONE,
    RECOVERY_SCOPES,
    ROLE_SCOPES,
    SECOND_FACTOR_SETUP_SCOPES,
    with_implied,
)
from accounts.sso_requirement import BOUND_METHODS, BY_RECOVERY, OVERRULED
from accounts.tokens import NOT_ENDED, AccessToken, InvalidToken, RefreshToken
from accounts.usage import PLAN_LIMIT, counting, find_credential, is_counted_when_found
from spatialflow.errors import ApiError


class TwoCredentials(ApiError):
    """Two credentials could name two workspaces; which one counts must never be guessed."""

    default_detail = "Send either X-API-KEY or Authorization, not both."
    default_code = "two_credentials"


class NotAuthenticated(ApiError):
    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Authentication credentials were not provided. Send X-API-KEY or Authorization: Bearer."
    default_code = "not_authenticated"


def refuse_two_credentials(request: Request) -> None:
    if "HTTP_X_API_KEY" in request.META and "HTTP_AUTHORIZATION" in request.META:
        raise TwoCredentials()


# One row decides: the sign-in lives, its user is active, still a member, the workspace is not suspended, and no other
# way in is demanded of them. So logout, removal, deactivation, a change of role and required single sign-on act on the
# very next request. Hot: written once as SQL, because compiling it costs more than running it.
_BOUND = tuple(sorted(BOUND_METHODS))
_LACKS_SECOND_FACTOR = f"w.requires_second_factor AND u.totp_confirmed_at IS NULL AND s.method NOT IN {_BOUND}"
_LIVE_SIGN_IN = f"""
SELECT u.email, u.email_verified_at IS NOT NULL, m.role, w.plan, {_LACKS_SECOND_FACTOR}, s.method,
       s.method IN {_BOUND} AND EXISTS (
           SELECT FROM accounts_membership o WHERE o.user_id = s.user_id AND o.workspace_id <> s.workspace_id
       ), u.timezone, u.preferences->>'date_format', u.preferences->>'time_format'{{more}}
FROM accounts_signin s
JOIN accounts_user u ON u.id = s.user_id
JOIN accounts_membership m ON m.user_id = s.user_id AND m.workspace_id = s.workspace_id
JOIN accounts_workspace w ON w.id = s.workspace_id
WHERE s.id = %(sid)s AND s.user_id = %(sub)s AND s.workspace_id = %(wid)s
  AND s.switched_at IS NOT DISTINCT FROM %(switched_at)s::timestamptz
  AND s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active AND w.suspended_at IS NULL
  AND {NOT_ENDED} AND NOT {OVERRULED}
"""  # noqa: S608
FIND_SIGN_IN = _LIVE_SIGN_IN.format(more="")
# A sign-in uses what its role holds, less what `_scopes` takes away: of what SCOPE_BITS name, all or nothing.
FIND_AND_COUNT_SIGN_IN = counting(
    _LIVE_SIGN_IN.format(
        more=f""",
       s.id AS credential_id, s.workspace_id, {PLAN_LIMIT} AS hourly_limit, false AS is_refused,
       m.role = ANY(%(roles)s::text[]) AND NOT ({_LACKS_SECOND_FACTOR}) AND s.method <> '{BY_RECOVERY}' AS uses_scope,
       s.switched_at IS NOT NULL AS has_moved"""
    )
)


class NamesSignIn(Protocol):
    """What names one sign-in: an access or refresh token, or the dashboard's session."""

    @property
    def sid(self) -> uuid.UUID: ...
    @property
    def sub(self) -> uuid.UUID: ...
    @property
    def wid(self) -> uuid.UUID: ...
    @property
    def switched_at(self) -> datetime | None: ...


def authenticate_sign_in(token: NamesSignIn, counted_for: Request | None = None) -> tuple[Principal, Principal]:
    """Return the principal of the token's sign-in, as DRF wants it: for request.user and request.auth. Raises
    `InvalidToken`; one query, which counts the sign-in as well where a request to count it for is given.
    """
    names = {"sid": token.sid, "sub": token.sub, "wid": token.wid, "switched_at": token.switched_at}
    row = find_credential(FIND_SIGN_IN, FIND_AND_COUNT_SIGN_IN, names, counted_for)
    if row is None:
        raise InvalidToken()
    email, email_is_verified, role, plan, lacks_second_factor, method, is_confined = row[:7]
    timezone, date_format, time_format = row[7:10]
    principal = Principal(
        user_id=token.sub,
        email=email,
        email_is_verified=email_is_verified,
        role=role,
        workspace_id=token.wid,
        plan=plan,
        scopes=_scopes(role, lacks_second_factor, method == BY_RECOVERY, is_confined),
        credential="sign_in",
        credential_id=token.sid,
        switched_at=token.switched_at,
        lacks_second_factor=lacks_second_factor,
        is_recovery=method == BY_RECOVERY,
        is_confined=is_confined,
        timezone=timezone,
        date_format=date_format,
        time_format=time_format,
    )
    return principal, principal


def _scopes(role: str, lacks_second_factor: bool, is_recovery: bool, is_confined: bool) -> frozenset[str]:
    """Return what a sign-in may do: what the role may now, less what this way in does not reach."""
    scopes = with_implied(ROLE_SCOPES[role]) - KEYS_ALONE
    if lacks_second_factor:
        scopes &= SECOND_FACTOR_SETUP_SCOPES
    if is_recovery:
        scopes &= RECOVERY_SCOPES
    return scopes - {ACCOUNT_OWN} if is_confined else scopes


class RefreshCookieAuthentication(BaseAuthentication):
    """Let a browser whose access token has expired sign out with its refresh cookie, which no other site can send."""

    def authenticate(self, request: Request) -> tuple[Principal, Principal] | None:
        raw = request.COOKIES.get(REFRESH_COOKIE)
        if not raw:
            return None
        return authenticate_sign_in(RefreshToken.read(raw))

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="spatialflow"'


def find_own_sign_in_id(request: Request) -> uuid.UUID | None:
    """Return the sign-in whose access token came with a request that needs none; None for any other token, too."""
    try:
        token = _find_access_token(request)
        return authenticate_sign_in(token)[1].credential_id if token else None
    except ApiError:
        return None


def _find_access_token(request: Request) -> AccessToken | None:
    """Return what a request presents as its token. Raises `TwoCredentials`, `InvalidToken` or `TokenExpired`."""
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    refuse_two_credentials(request)
    scheme, _, raw = header.partition(" ")
    if scheme.lower() != "bearer" or not raw or " " in raw or "," in raw:
        raise InvalidToken()
    return AccessToken.read(raw)


class JWTAuthentication(BaseAuthentication):
    """Put the `Principal` of a live sign-in in `request.auth`. Raises `InvalidToken`, `TokenExpired`; one query, which
    counts it, too, where `is_counted_when_found`.
    """

    def authenticate(self, request: Request) -> tuple[Principal, Principal] | None:
        token = _find_access_token(request)
        if token is None:
            return None
        return authenticate_sign_in(token, request if is_counted_when_found(request) else None)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="spatialflow"'
