"""Authentication by API key: the header `X-API-KEY`."""

from typing import Any

from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.authentication import refuse_two_credentials
from accounts.principal import Principal
from accounts.scopes import effective_scopes
from accounts.sso_requirement import SSO_PLANS
from accounts.usage import PLAN_LIMIT, counting, find_credential, is_counted_when_found
from apikeys import keys
from spatialflow.errors import ApiError


class InvalidApiKey(ApiError):
    """Unknown, revoked, expired, disabled, malformed, or its maker is gone: one answer for all."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Invalid credentials: the API key is unknown, expired or revoked."
    default_code = "invalid_api_key"


class ApiKeysRefused(ApiError):
    """The workspace requires single sign-on and has decided that keys do not go past it."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = (
        "This workspace requires single sign-on and refuses API keys meanwhile. An owner can allow them in its "
        "single sign-on settings."
    )
    default_code = "api_keys_refused"


# One row decides, as for access tokens (accounts/authentication.py). Hot: written once as SQL.
_LIVE_KEY = f"""
SELECT k.id AS credential_id, k.workspace_id, k.created_by_id, k.scopes, k.is_read_only, k.hourly_limit AS own_limit,
       u.email, u.email_verified_at IS NOT NULL, m.role, w.plan,
       w.requires_sso AND w.refuses_keys_under_sso AND w.plan IN {SSO_PLANS} AS is_refused{{more}}
FROM apikeys_apikey k
JOIN accounts_user u ON u.id = k.created_by_id
JOIN accounts_membership m ON m.user_id = k.created_by_id AND m.workspace_id = k.workspace_id
JOIN accounts_workspace w ON w.id = k.workspace_id
WHERE k.digest = %(digest)s AND k.is_active AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
  AND u.is_active AND w.suspended_at IS NULL
"""  # noqa: S608

FIND_KEY = _LIVE_KEY.format(more="")
FIND_KEY_WITH_TIMES = _LIVE_KEY.format(more=", k.created_at, k.expires_at")
# A key uses what its scopes and its maker's role both hold, and never moves to another workspace.
FIND_AND_COUNT_KEY = counting(
    _LIVE_KEY.format(
        more=f""",
       LEAST(k.hourly_limit, {PLAN_LIMIT}) AS hourly_limit,
       k.scopes::text[] && %(scopes_of_keys)s::text[] AND m.role = ANY(%(roles)s::text[])
           AND (%(only_reads)s OR NOT k.is_read_only) AS uses_scope,
       false AS has_moved"""
    )
)


def find_live_key(
    raw: str, statement: str = FIND_KEY, counted_for: Request | None = None
) -> tuple[Principal, list[Any]]:
    """Return the principal of a live key, and what else the statement selects. Raises `InvalidApiKey`,
    `ApiKeysRefused`; one query, which is FIND_AND_COUNT_KEY where a request to count it for is given, and none for what
    cannot be a key.
    """
    if not keys.is_well_formed(raw):
        raise InvalidApiKey()
    row = find_credential(statement, FIND_AND_COUNT_KEY, {"digest": keys.digest(raw)}, counted_for)
    if row is None:
        raise InvalidApiKey()
    key_id, workspace_id, user_id, scopes, is_read_only, own_limit, email, is_verified, role, plan = row[:10]
    is_refused, *more = row[10:]
    if is_refused:
        raise ApiKeysRefused()
    principal = Principal(
        user_id=user_id,
        email=email,
        email_is_verified=is_verified,
        role=role,
        workspace_id=workspace_id,
        plan=plan,
        scopes=effective_scopes(scopes, role),
        credential="api_key",
        credential_id=key_id,
        is_read_only=is_read_only,
        own_hourly_limit=own_limit,
    )
    return principal, more


class ApiKeyAuthentication(BaseAuthentication):
    """Put the `Principal` of a live key in `request.auth`. Raises `InvalidApiKey`, `ApiKeysRefused`; one query, which
    counts it, too, where `is_counted_when_found`, and none for what cannot be a key.
    """

    def authenticate(self, request: Request) -> tuple[Principal, Principal] | None:
        raw = request.META.get("HTTP_X_API_KEY")
        if raw is None:
            return None
        refuse_two_credentials(request)
        principal, _ = find_live_key(raw, counted_for=request if is_counted_when_found(request) else None)
        return principal, principal

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="spatialflow"'
