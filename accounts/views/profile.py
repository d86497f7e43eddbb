"""The caller's own account: its profile, and its end."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import cookies, profile
from accounts.deletion import delete_account
from accounts.scopes import ACCOUNT_OWN, ACCOUNT_READ
from accounts.serializers.profile import ProfileSerializer, ProfileUpdateSerializer, profile_json
from spatialflow.api import WorkspaceAPIView
from spatialflow.errors import ErrorSerializer


class ProfileView(WorkspaceAPIView):
    """The caller's account: its profile, changes to it (what the body does not name stays), and its deletion.

    Deleting needs neither body nor password, and cannot be undone: sign-ins and API keys die at once, everything
    personal goes, and so do workspaces that nobody else belongs to. 409 `sole_owner` names the workspaces that would
    be left without an owner.
    """

    scopes = {"GET": ACCOUNT_READ, "PUT": ACCOUNT_OWN, "DELETE": ACCOUNT_OWN}

    @extend_schema(operation_id="get_profile", responses=ProfileSerializer)
    def get(self, request: Request) -> Response:
        return Response(profile_json(profile.get_profile(request)))

    @extend_schema(operation_id="update_profile", request=ProfileUpdateSerializer, responses=ProfileSerializer)
    def put(self, request: Request) -> Response:
        body = ProfileUpdateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        profile.update_profile(request, **body.validated_data)
        return Response(profile_json(profile.get_profile(request)))

    @extend_schema(operation_id="delete_account", responses={204: None, 409: ErrorSerializer})
    def delete(self, request: Request) -> Response:
        delete_account(request)
        response = Response(status=status.HTTP_204_NO_CONTENT)
        cookies.clear_refresh_cookie(response)
        return response
