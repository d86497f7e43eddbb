"""The workspace that the caller is in, and the ones they may enter."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import cookies, switching, workspaces
from accounts.principal import Principal
from accounts.scopes import ACCOUNT_OWN, ACCOUNT_READ, ACCOUNT_WRITE, WORKSPACE_OWN, WORKSPACE_READ, WORKSPACE_WRITE
from accounts.serializers.auth import token_pair_json
from accounts.serializers.workspaces import (
    RevokedSessionsSerializer,
    UsageSerializer,
    WorkspaceChoicesSerializer,
    WorkspaceCreateSerializer,
    WorkspaceDeleteQuerySerializer,
    WorkspacePatchSerializer,
    WorkspacePutSerializer,
    WorkspaceSelectionSerializer,
    WorkspaceSelectSerializer,
    WorkspaceSerializer,
    choices_json,
    workspace_json,
)
from accounts.throttles import REVOKE_ALL
from accounts.tokens import TokenPair
from spatialflow.api import WorkspaceAPIView
from spatialflow.errors import ErrorSerializer


def validated(serializer: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """Return the validated members of a body or query. Raises the 422 that names the fields."""
    reader = serializer(data=data)
    reader.is_valid(raise_exception=True)
    return reader.validated_data


class WorkspaceView(WorkspaceAPIView):
    """The workspace of the caller's credential: see and change it, delete it, or make another one.

    PUT and PATCH both leave alone what the body does not name. A new workspace is the caller's own, on the free plan;
    enter it with `workspaces/select`. Deleting takes the workspace's slug as `?slug=`, and everything in it with it.
    """

    scopes = {
        "GET": WORKSPACE_READ,
        "PUT": WORKSPACE_WRITE,
        "PATCH": WORKSPACE_WRITE,
        "POST": ACCOUNT_OWN,
        "DELETE": WORKSPACE_OWN,
    }

    @extend_schema(operation_id="get_workspace", responses={200: WorkspaceSerializer, 404: ErrorSerializer})
    def get(self, request: Request) -> Response:
        return Response(workspace_json(request.auth.get_workspace()))

    @extend_schema(
        operation_id="update_workspace",
        request=WorkspacePutSerializer,
        responses={200: WorkspaceSerializer, 404: ErrorSerializer, 409: ErrorSerializer},
    )
    def put(self, request: Request) -> Response:
        return Response(workspace_json(workspaces.update(request, **validated(WorkspacePutSerializer, request.data))))

    @extend_schema(
        operation_id="patch_workspace",
        request=WorkspacePatchSerializer,
        responses={200: WorkspaceSerializer, 404: ErrorSerializer, 409: ErrorSerializer},
    )
    def patch(self, request: Request) -> Response:
        return Response(workspace_json(workspaces.update(request, **validated(WorkspacePatchSerializer, request.data))))

    @extend_schema(
        operation_id="create_workspace",
        request=WorkspaceCreateSerializer,
        responses={201: WorkspaceSerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        made = workspaces.create_another(request, **validated(WorkspaceCreateSerializer, request.data))
        return Response(workspace_json(made), status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="delete_workspace",
        parameters=[WorkspaceDeleteQuerySerializer],
        responses={204: None, 404: ErrorSerializer, 409: ErrorSerializer},
    )
    def delete(self, request: Request) -> Response:
        workspaces.delete(request, **validated(WorkspaceDeleteQuerySerializer, request.query_params))
        return Response(status=status.HTTP_204_NO_CONTENT)


class UsageView(WorkspaceAPIView):
    """What the workspace holds, and its API requests today.

    Requests are those that count against the plan, made in this workspace in the credentials' hours that began since
    midnight UTC; operations with limits of their own, such as signing in, are not among them.
    """

    scopes = {"GET": WORKSPACE_READ}

    @extend_schema(operation_id="get_workspace_usage", responses=UsageSerializer)
    def get(self, request: Request) -> Response:
        return Response(UsageSerializer(workspaces.usage_today(request.auth)).data)


class AvailableView(WorkspaceAPIView):
    """The workspaces that the caller belongs to and that are not suspended, and whether a picker should be shown.

    One that has ended all sign-ins since the caller's began is among them; it is entered by signing in again.
    """

    scopes = {"GET": ACCOUNT_READ}

    @extend_schema(operation_id="available_workspaces", responses=WorkspaceChoicesSerializer)
    def get(self, request: Request) -> Response:
        return Response(choices_json(switching.choices(request.auth, request.auth.workspace_id)))


class MobileBootstrapView(AvailableView):
    """The same for mobile apps."""

    @extend_schema(operation_id="mobile_bootstrap", responses=WorkspaceChoicesSerializer)
    def get(self, request: Request) -> Response:
        return super().get(request)


def selection_json(principal: Principal, pair: TokenPair) -> dict[str, Any]:
    return {
        **choices_json(switching.choices(principal, pair.membership.workspace_id)),
        **token_pair_json(pair),
    }


class SelectView(WorkspaceAPIView):
    """Move this sign-in to another of the caller's workspaces, or renew it in the same one.

    The answer holds a fresh token pair, also as the refresh cookie; every token of this sign-in from before is dead,
    without a grace period. 403 `not_a_member` where the caller cannot enter the workspace, `sign_in_too_old` where it
    has ended all sign-ins since this one began: sign in again.
    """

    scopes = {"POST": ACCOUNT_WRITE}

    @extend_schema(
        operation_id="select_workspace", request=WorkspaceSelectSerializer, responses=WorkspaceSelectionSerializer
    )
    def post(self, request: Request) -> Response:
        pair = switching.select(request, **validated(WorkspaceSelectSerializer, request.data))
        response = Response(selection_json(request.auth, pair))
        cookies.set_refresh_cookie(response, pair)
        return response


class MobileSelectView(WorkspaceAPIView):
    """The same for mobile apps, without a cookie."""

    scopes = {"POST": ACCOUNT_WRITE}

    @extend_schema(
        operation_id="mobile_select_workspace",
        request=WorkspaceSelectSerializer,
        responses=WorkspaceSelectionSerializer,
    )
    def post(self, request: Request) -> Response:
        pair = switching.select(request, **validated(WorkspaceSelectSerializer, request.data))
        return Response(selection_json(request.auth, pair))


class RevokeAllSessionsView(WorkspaceAPIView):
    """End everybody's sign-ins in the workspace, the caller's too; API keys go on. Once a minute."""

    scopes = {"POST": WORKSPACE_OWN}
    throttle_classes: ClassVar[list[type]] = []  # its own limit replaces the general one

    @extend_schema(operation_id="revoke_all_sessions", request=None, responses=RevokedSessionsSerializer)
    def post(self, request: Request) -> Response:
        REVOKE_ALL.charge(request, str(request.auth.workspace_id))
        members, ended = workspaces.end_all_sign_ins(request)
        response = Response(
            {
                "message": "Everybody was signed out of this workspace.",
                "members_affected": members,
                "sessions_revoked": ended,
                "workspace_id": str(request.auth.workspace_id),
            }
        )
        cookies.clear_refresh_cookie(response)
        return response
