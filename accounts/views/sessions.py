"""A person's own sessions."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import sessions
from accounts.scopes import ACCOUNT_OWN, ACCOUNT_READ
from accounts.serializers.sessions import SessionListSerializer, SessionSerializer, SessionsRevokedSerializer
from spatialflow.api import WorkspaceAPIView


class SessionListView(WorkspaceAPIView):
    """List where the caller is signed in, the session used last first: at most 500, `total` says how many there are."""

    scopes = {"GET": ACCOUNT_READ}

    @extend_schema(operation_id="list_sessions", responses=SessionListSerializer)
    def get(self, request: Request) -> Response:
        found = sessions.list_own(request)
        listed = SessionSerializer(found.sessions, many=True, context={"principal": request.auth}).data
        return Response({"sessions": listed, "total": found.total, "truncated": found.total > len(listed)})


class SessionView(WorkspaceAPIView):
    """End one of the caller's sessions: its tokens die with the next request."""

    scopes = {"DELETE": ACCOUNT_OWN}

    @extend_schema(operation_id="end_session", responses={204: None})
    def delete(self, request: Request, session_id: str) -> Response:
        sessions.end(request, session_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RevokeOthersView(WorkspaceAPIView):
    """End all of the caller's sessions but this one."""

    scopes = {"POST": ACCOUNT_OWN}

    @extend_schema(operation_id="end_other_sessions", request=None, responses=SessionsRevokedSerializer)
    def post(self, request: Request) -> Response:
        ended = sessions.end_others(request)
        return Response({"message": "All other sessions ended.", "sessions_revoked": ended})
