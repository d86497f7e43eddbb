"""The addresses of API keys. People see and manage the keys they made in the current workspace, owners all of the
workspace's; a key can only ask who it is. Keys never manage keys.
"""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import API_KEYS_READ, API_KEYS_WRITE, CURRENT_KEY_READ, WORKSPACE_KEYS_READ, WORKSPACE_KEYS_WRITE
from apikeys import lifecycle
from apikeys.authentication import InvalidApiKey
from apikeys.lifecycle import get_own_key, get_workspace_key, own_keys, workspace_keys
from apikeys.models import ApiKey, ApiKeyQuerySet
from apikeys.serializers import (
    ApiKeyCreateSerializer,
    ApiKeySerializer,
    ApiKeyUpdateSerializer,
    CurrentKeySerializer,
    ExpirationQuerySerializer,
    ExpirationSerializer,
    ExpiringKeySerializer,
    ExpiringQuerySerializer,
    KeyUsageSerializer,
    NewApiKeySerializer,
    RegenerateQuerySerializer,
    RotateQuerySerializer,
    UsageQuerySerializer,
    WorkspaceKeyListSerializer,
    WorkspaceKeySerializer,
    new_key_json,
)
from apikeys.usage import get_usage
from spatialflow.api import WorkspaceAPIView
from spatialflow.errors import ErrorSerializer

COPY_IT = "Copy it now: it is not shown again."


def validated(serializer: type[serializers.Serializer], data: Any, request: Request) -> dict[str, Any]:
    """Return the validated members of a body or query. Raises the 422 that names the fields."""
    reader = serializer(data=data, context={"principal": request.auth})
    reader.is_valid(raise_exception=True)
    return reader.validated_data


def shown(serializer: type[serializers.Serializer], keys: ApiKey | ApiKeyQuerySet, request: Request) -> Any:
    return serializer(keys, many=not isinstance(keys, ApiKey), context={"principal": request.auth}).data


class ApiKeyListView(WorkspaceAPIView):
    """List the caller's keys, newest first; make one, whose plain text this answer alone holds."""

    scopes = {"GET": API_KEYS_READ, "POST": API_KEYS_WRITE}

    @extend_schema(operation_id="list_api_keys", responses=ApiKeySerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response(shown(ApiKeySerializer, own_keys(request.auth), request))

    @extend_schema(
        operation_id="create_api_key",
        request=ApiKeyCreateSerializer,
        responses={201: NewApiKeySerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        fields = validated(ApiKeyCreateSerializer, request.data, request)
        key, raw = lifecycle.create_key(request, **fields)
        return Response(new_key_json(key, raw, f"API key created. {COPY_IT}"), status=status.HTTP_201_CREATED)


class ApiKeyView(WorkspaceAPIView):
    """One of the caller's keys: see, change, revoke."""

    scopes = {"GET": API_KEYS_READ, "PUT": API_KEYS_WRITE, "DELETE": API_KEYS_WRITE}

    @extend_schema(operation_id="get_api_key", responses=ApiKeySerializer)
    def get(self, request: Request, key_id: str) -> Response:
        return Response(shown(ApiKeySerializer, get_own_key(request.auth, key_id), request))

    @extend_schema(
        operation_id="update_api_key",
        request=ApiKeyUpdateSerializer,
        responses={200: ApiKeySerializer, 409: ErrorSerializer},
    )
    def put(self, request: Request, key_id: str) -> Response:
        key = get_own_key(request.auth, key_id)
        lifecycle.update_key(request, key, **validated(ApiKeyUpdateSerializer, request.data, request))
        return Response(shown(ApiKeySerializer, key, request))

    @extend_schema(operation_id="delete_api_key", responses={204: None})
    def delete(self, request: Request, key_id: str) -> Response:
        lifecycle.revoke(request, get_own_key(request.auth, key_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class RegenerateView(WorkspaceAPIView):
    """Replace a key's secret at once: the old one fails on the next request. Say with `?key_prefix=` which one you saw,
    and a request that is sent twice replaces it once.
    """

    scopes = {"POST": API_KEYS_WRITE}

    @extend_schema(
        operation_id="regenerate_api_key",
        request=None,
        parameters=[RegenerateQuerySerializer],
        responses={200: NewApiKeySerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request, key_id: str) -> Response:
        seen = validated(RegenerateQuerySerializer, request.query_params.dict(), request)["key_prefix"]
        key = get_own_key(request.auth, key_id)
        raw = lifecycle.regenerate(request, key, seen)
        return Response(new_key_json(key, raw, f"API key regenerated; the old one works no more. {COPY_IT}"))


class RotateView(WorkspaceAPIView):
    """Make a key's successor; the old one works on for `?grace_period_days=` (default 7, at most 90)."""

    scopes = {"POST": API_KEYS_WRITE}

    @extend_schema(
        operation_id="rotate_api_key",
        request=None,
        parameters=[RotateQuerySerializer],
        responses={201: NewApiKeySerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request, key_id: str) -> Response:
        days = validated(RotateQuerySerializer, request.query_params, request)["grace_period_days"]
        key = get_own_key(request.auth, key_id)
        successor, raw = lifecycle.rotate(request, key, timedelta(days=days))
        message = f"API key rotated; the old one works until {key.expires_at:%Y-%m-%d %H:%M} UTC. {COPY_IT}"
        return Response(new_key_json(successor, raw, message), status=status.HTTP_201_CREATED)


class ExpirationView(WorkspaceAPIView):
    """Set when a key ends with `?expires_at=` (ISO 8601), or without it that it never does."""

    scopes = {"PATCH": API_KEYS_WRITE}

    @extend_schema(
        operation_id="set_api_key_expiration",
        request=None,
        parameters=[ExpirationQuerySerializer],
        responses={200: ExpirationSerializer, 409: ErrorSerializer},
    )
    def patch(self, request: Request, key_id: str) -> Response:
        key = get_own_key(request.auth, key_id)
        expires_at = validated(ExpirationQuerySerializer, request.query_params, request)["expires_at"]
        lifecycle.set_expiration(request, key, expires_at)
        return Response(ExpirationSerializer(key).data)


class UsageView(WorkspaceAPIView):
    """The use of one of the caller's keys in the last `?days=` (default 2, at most 90): requests and refusals by hour,
    which of its scopes were needed, and a smaller set that would do.
    """

    scopes = {"GET": API_KEYS_READ}

    @extend_schema(operation_id="get_api_key_usage", parameters=[UsageQuerySerializer], responses=KeyUsageSerializer)
    def get(self, request: Request, key_id: str) -> Response:
        days = validated(UsageQuerySerializer, request.query_params, request)["days"]
        return Response(KeyUsageSerializer(get_usage(get_own_key(request.auth, key_id), days)).data)


class ExpiringView(WorkspaceAPIView):
    """The caller's keys that end within `?days=` (default 30), soonest first."""

    scopes = {"GET": API_KEYS_READ}

    @extend_schema(
        operation_id="list_expiring_api_keys",
        parameters=[ExpiringQuerySerializer],
        responses=ExpiringKeySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        now = timezone.now()
        horizon = now + timedelta(days=validated(ExpiringQuerySerializer, request.query_params, request)["days"])
        soon = own_keys(request.auth).filter(expires_at__gt=now, expires_at__lte=horizon).order_by("expires_at", "id")
        return Response(shown(ExpiringKeySerializer, soon, request))


class CurrentKeyView(WorkspaceAPIView):
    """What the key of this request is: for the key itself."""

    scopes = {"GET": CURRENT_KEY_READ}

    @extend_schema(operation_id="get_current_api_key", responses=CurrentKeySerializer)
    def get(self, request: Request) -> Response:
        key = ApiKey.objects.select_related("workspace").filter(id=request.auth.credential_id).first()
        if key is None:
            raise InvalidApiKey()
        context = {"principal": request.auth, "usage": request.tightest_usage}
        return Response(CurrentKeySerializer(key, context=context).data)


class WorkspaceKeyListView(WorkspaceAPIView):
    """Every key of the workspace, for its owners."""

    scopes = {"GET": WORKSPACE_KEYS_READ}

    @extend_schema(operation_id="list_workspace_api_keys", responses=WorkspaceKeyListSerializer)
    def get(self, request: Request) -> Response:
        listed = shown(WorkspaceKeySerializer, workspace_keys(request.auth), request)
        return Response({"api_keys": listed, "total": len(listed)})


class WorkspaceKeyView(WorkspaceAPIView):
    """One key of the workspace, revoked by an owner."""

    scopes = {"DELETE": WORKSPACE_KEYS_WRITE}

    @extend_schema(operation_id="delete_workspace_api_key", responses={204: None})
    def delete(self, request: Request, key_id: str) -> Response:
        lifecycle.revoke(request, get_workspace_key(request.auth, key_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class WorkspaceKeyUsageView(WorkspaceAPIView):
    """The use of any key of the workspace, for its owners; as for one's own keys."""

    scopes = {"GET": WORKSPACE_KEYS_READ}

    @extend_schema(
        operation_id="get_workspace_api_key_usage", parameters=[UsageQuerySerializer], responses=KeyUsageSerializer
    )
    def get(self, request: Request, key_id: str) -> Response:
        days = validated(UsageQuerySerializer, request.query_params, request)["days"]
        return Response(KeyUsageSerializer(get_usage(get_workspace_key(request.auth, key_id), days)).data)
