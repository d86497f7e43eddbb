"""Managing API keys, for signed-in people only: keys never manage keys. Everyone sees the keys they made in the
current workspace.
"""

import uuid

from django.conf import settings
from django.db import transaction
from django.db.models import Max, OuterRef, Subquery, Sum
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import CredentialUsage, Workspace
from accounts.permissions import InsufficientPermissions
from accounts.principal import Principal
from accounts.scopes import API_KEYS_READ, API_KEYS_WRITE
from apikeys.models import ApiKey, ApiKeyQuerySet
from apikeys.serializers import ApiKeyCreateSerializer, key_json, new_key_json
from spatialflow.api import WorkspaceAPIView
from spatialflow.errors import Conflict, NotFound


class TooManyKeys(Conflict):
    default_detail = "This workspace has as many API keys as it may have. Revoke one that is not used any more."
    default_code = "too_many_api_keys"


def own_keys(principal: Principal) -> ApiKeyQuerySet:
    """Return the caller's keys in the current workspace, each with its use."""
    uses = CredentialUsage.objects.filter(credential_id=OuterRef("id")).values("credential_id")
    keys: ApiKeyQuerySet = ApiKey.objects.for_workspace(principal.workspace_id).filter(created_by_id=principal.user_id)
    return keys.annotate(
        usage_count=Subquery(uses.annotate(total=Sum("requests")).values("total")),
        last_used_at=Subquery(uses.annotate(latest=Max("last_used_at")).values("latest")),
    )


def get_own_key(principal: Principal, key_id: str) -> ApiKey:
    """Return one of the caller's keys. Raises `NotFound`, alike for absent ones and for somebody else's."""
    try:
        key: ApiKey | None = own_keys(principal).filter(id=uuid.UUID(key_id)).first()
    except ValueError:
        key = None
    if key is None:
        raise NotFound()
    return key


class ApiKeyListView(WorkspaceAPIView):
    """List the caller's keys, newest first; make one, whose plain text this answer alone holds."""

    scopes = {"GET": API_KEYS_READ, "POST": API_KEYS_WRITE}

    def get(self, request: Request) -> Response:
        plan_limit = settings.PLAN_LIMITS[request.auth.plan]
        return Response([key_json(key, plan_limit) for key in own_keys(request.auth).order_by("-created_at", "id")])

    def post(self, request: Request) -> Response:
        body = ApiKeyCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        if not request.auth.email_is_verified:
            raise InsufficientPermissions("Verify your email address before making API keys.", "email_not_verified")
        with transaction.atomic():
            Workspace.objects.select_for_update(no_key=True).get(
                pk=request.auth.workspace_id
            )  # so that the count holds
            if ApiKey.objects.for_workspace(request.auth.workspace_id).count() >= settings.MAX_API_KEYS_PER_WORKSPACE:
                raise TooManyKeys()
            key, raw = ApiKey.objects.issue(
                workspace_id=request.auth.workspace_id, created_by_id=request.auth.user_id, **body.validated_data
            )
        message = "API key created. Copy it now: it is not shown again."
        return Response(new_key_json(key, raw, message), status=status.HTTP_201_CREATED)


class ApiKeyView(WorkspaceAPIView):
    """One of the caller's keys: see it, revoke it."""

    scopes = {"GET": API_KEYS_READ, "DELETE": API_KEYS_WRITE}

    def get(self, request: Request, key_id: str) -> Response:
        return Response(key_json(get_own_key(request.auth, key_id), settings.PLAN_LIMITS[request.auth.plan]))

    def delete(self, request: Request, key_id: str) -> Response:
        key = get_own_key(request.auth, key_id)
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        return Response(status=status.HTTP_204_NO_CONTENT)
