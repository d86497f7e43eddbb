"""The members of the caller's workspace."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import cookies, members
from accounts.scopes import ACCOUNT_WRITE, MEMBERS_READ, MEMBERS_WRITE
from accounts.serializers.members import MemberActionSerializer, MemberListSerializer, RoleSerializer
from spatialflow.api import WorkspaceAPIView
from spatialflow.errors import ErrorSerializer


class MemberListView(WorkspaceAPIView):
    """The members in the order in which they came: the first 500, and how many there are."""

    scopes = {"GET": MEMBERS_READ}

    @extend_schema(operation_id="list_members", responses=MemberListSerializer)
    def get(self, request: Request) -> Response:
        return Response(MemberListSerializer(members.list_members(request.auth.workspace_id)).data)


class MemberView(WorkspaceAPIView):
    """One member by user id: change the role, remove.

    Owners change and remove anybody; managers only field workers and members, and make nobody an owner. The last
    owner stays one. Whoever is removed, or given a lower role, has no live sign-in in the workspace any more.
    """

    scopes = {"PATCH": MEMBERS_WRITE, "DELETE": MEMBERS_WRITE}

    @extend_schema(operation_id="update_member_role", request=RoleSerializer, responses=MemberActionSerializer)
    def patch(self, request: Request, user_id: str) -> Response:
        body = RoleSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        member = members.change_role(request, user_id, **body.validated_data)
        return Response({"message": "Role changed.", "user_id": str(member.user_id), "role": member.role})

    @extend_schema(operation_id="remove_member", responses={204: None})
    def delete(self, request: Request, user_id: str) -> Response:
        members.remove(request, user_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class LeaveView(WorkspaceAPIView):
    """Leave the workspace that this sign-in is in. Its last owner cannot: 403 `last_owner`."""

    scopes = {"POST": ACCOUNT_WRITE}

    @extend_schema(operation_id="leave_workspace", request=None, responses={204: None, 404: ErrorSerializer})
    def post(self, request: Request) -> Response:
        members.leave(request)
        response = Response(status=status.HTTP_204_NO_CONTENT)
        cookies.clear_refresh_cookie(response)
        return response
