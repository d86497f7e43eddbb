"""Token introspection (RFC 7662): another service of the platform asks whether an access token or an API key that it
was sent is live, whose it is, and what it may do now.

The service presents an API key with the scope `tokens:introspect`, which an owner has made for it. It is told of what
belongs to that key's workspace, and of everything else alike that it is not active: what is unknown, ended, another
workspace's, or a refresh token, which is no credential for any service.
"""

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import authenticate_sign_in
from accounts.principal import Principal
from accounts.scopes import KEY_SCOPES, KEYS_ALONE
from accounts.tokens import AccessToken, InvalidToken
from apikeys import keys
from apikeys.authentication import FIND_KEY_WITH_TIMES, ApiKeysRefused, InvalidApiKey, find_live_key
from spatialflow.api import WorkspaceAPIView
from spatialflow.strict_fields import TextField
from spatialflow.strict_forms import FormParser

INACTIVE = {"active": False}


def introspect(caller: Principal, raw: str) -> dict[str, Any]:
    """Return what RFC 7662 section 2.2 says of a token to `caller`; `INACTIVE` where there is nothing to say. One
    query at most, by the statement that would authenticate it.
    """
    try:
        token, facts = _describe_key(raw) if raw.startswith(keys.PREFIX) else _describe_access_token(raw)
    except (InvalidToken, InvalidApiKey, ApiKeysRefused):
        return INACTIVE
    if token.workspace_id != caller.workspace_id:
        return INACTIVE
    return {
        "active": True,
        "scope": " ".join(_scopes_elsewhere(token)),
        "sub": str(token.user_id),
        "workspace_id": str(token.workspace_id),
        "iss": settings.JWT_ISSUER,
        "aud": settings.JWT_AUDIENCE,
        **facts,
    }


def _describe_access_token(raw: str) -> tuple[Principal, dict[str, Any]]:
    token = AccessToken.read(raw)
    facts = {name: token.payload[name] for name in ("jti", "iat", "exp")}
    return authenticate_sign_in(token)[0], {"token_type": "Bearer", **facts}


def _describe_key(raw: str) -> tuple[Principal, dict[str, Any]]:
    principal, (created_at, expires_at) = find_live_key(raw, FIND_KEY_WITH_TIMES)
    facts = {"token_type": "api_key", "jti": str(principal.credential_id), "iat": _seconds(created_at)}
    return principal, facts | ({"exp": _seconds(expires_at)} if expires_at else {})


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _scopes_elsewhere(token: Principal) -> list[str]:
    """Return the scopes that mean something to other services, in one order; of a read-only key those to read."""
    scopes = [scope for scope in KEY_SCOPES if scope in token.scopes - KEYS_ALONE]
    return [scope for scope in scopes if scope.endswith(":read")] if token.is_read_only else scopes


class IntrospectionSerializer(serializers.Serializer):
    """`token_type_hint` and whatever else a client may send is not looked at (RFC 7662 section 2.1)."""

    token = TextField(max_length=8192, trim_whitespace=False)
    token_type_hint = TextField(required=False, allow_blank=True)


class IntrospectedSerializer(serializers.Serializer):
    """All but `active` is there of active ones alone; `exp` of those that end. Times are seconds since 1970."""

    active = serializers.BooleanField()
    token_type = serializers.ChoiceField(["Bearer", "api_key"], required=False)
    scope = serializers.CharField(required=False, help_text="What it may do now, separated by spaces.")
    sub = serializers.CharField(required=False, help_text="The person: who signed in, or who made the key.")
    workspace_id = serializers.CharField(required=False)
    jti = serializers.CharField(required=False, help_text="The token's own id, or the key's.")
    iat = serializers.IntegerField(required=False)
    exp = serializers.IntegerField(required=False)
    iss = serializers.CharField(required=False)
    aud = serializers.CharField(required=False)


class IntrospectionView(WorkspaceAPIView):
    """Whether a token is live and what it may do (RFC 7662), for a service with a key for that. Refresh tokens, and
    whatever belongs to another workspace, are not active. Counts against the key's hour.
    """

    scopes: ClassVar[dict[str, str]] = {"POST": "tokens:introspect"}
    parser_classes: ClassVar[list[type]] = [FormParser]

    @extend_schema(
        operation_id="introspect_token",
        request={FormParser.media_type: IntrospectionSerializer},
        responses=IntrospectedSerializer,
    )
    def post(self, request: Request) -> Response:
        form = IntrospectionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return Response(introspect(request.auth, form.validated_data["token"]))
