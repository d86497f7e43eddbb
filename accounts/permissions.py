"""The one permission of the API: the caller holds the scope that the view declares for the method."""

from typing import Any

from rest_framework import status
from rest_framework.request import Request

from accounts.authentication import NotAuthenticated
from accounts.principal import Principal
from accounts.scopes import ACCOUNT_OWN, CURRENT_KEY_READ, KEY_SCOPES, KEYS_ALONE, READING_METHODS, asked_scope
from spatialflow.errors import ApiError


def find_used_scope(request: Request, view: Any) -> str | None:
    """Return the scope that the caller uses by this request; None where `HasScope` will refuse it."""
    principal, scope = request.auth, asked_scope(request, view)
    if scope not in principal.scopes or (principal.is_read_only and request.method not in READING_METHODS):
        return None
    return scope


class InsufficientPermissions(ApiError):
    """403 (RFC 6750 section 3.1). The caller is known; what is missing is named, so that it can be asked for."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "Insufficient permissions."
    default_code = "insufficient_permissions"

    def __init__(self, detail: str | None = None, code: str | None = None, *, scope: str | None = None) -> None:
        missing = f', error="insufficient_scope", scope="{scope}"' if scope else ""
        challenge = f'Bearer realm="spatialflow"{missing}'
        super().__init__(detail, code, headers={"WWW-Authenticate": challenge})


class HasScope:
    """Raise `NotAuthenticated` without a credential, `InsufficientPermissions` without the declared scope."""

    def has_permission(self, request: Request, view: Any) -> bool:
        principal: Principal | None = request.auth
        if principal is None:
            raise NotAuthenticated()
        scope = asked_scope(request, view)
        if scope is None:  # a method the view does not handle: 405 follows
            return True
        if principal.lacks_second_factor and scope not in principal.scopes:
            raise InsufficientPermissions(
                "This workspace requires a second factor. Set one up with POST /api/v1/auth/totp first.",
                "second_factor_required",
            )
        if scope not in principal.scopes:
            raise InsufficientPermissions(self._sentence(principal, scope), scope=scope)
        if principal.is_read_only and request.method not in READING_METHODS:
            sentence = (
                f"Insufficient permissions: this API key is read-only, so it cannot use {scope} to {request.method}."
            )
            raise InsufficientPermissions(sentence, "read_only_key")
        return True

    @staticmethod
    def _sentence(principal: Principal, scope: str) -> str:
        if principal.credential == "api_key" and scope not in KEY_SCOPES:
            return (
                f"Insufficient permissions: {scope} is for signed-in people; no API key carries it. Use a Bearer token."
            )
        if principal.is_recovery:
            return (
                f"Insufficient permissions: {scope} is beyond a recovery link, which only repairs single sign-on. "
                "Repair it, then sign in with it."
            )
        if principal.is_confined and scope == ACCOUNT_OWN:
            return (
                f"Insufficient permissions: {scope} concerns your account as a whole, and you belong to other "
                "workspaces, for which this workspace's identity provider does not speak. Sign in another way."
            )
        if scope == CURRENT_KEY_READ:
            return "Insufficient permissions: this is for an API key to ask about itself; send X-API-KEY."
        if scope in KEYS_ALONE and principal.credential != "api_key":
            return f"Insufficient permissions: {scope} is for API keys, which owners give it to; send X-API-KEY."
        return f"Insufficient permissions: this request needs the scope {scope}."
