"""Login, refresh, logout, and who am I."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import cookies, sessions
from accounts.authentication import RefreshCookieAuthentication
from accounts.login import log_in
from accounts.models import Membership
from accounts.principal import Client
from accounts.public_forms import read_login, read_refresh_token
from accounts.scopes import SIGN_IN_OWN
from accounts.serializers.auth import (
    LoginSerializer,
    MessageSerializer,
    RefreshSerializer,
    TokenPairSerializer,
    UserSerializer,
    token_pair_json,
    user_json,
)
from accounts.throttles import REFRESH_BY_ADDRESS, charge_refresh, charged_if_refused
from accounts.tokens import InvalidToken, RefreshToken, Renewal, TokenPair, rotate
from spatialflow.api import PublicAPIView, WorkspaceAPIView
from spatialflow.errors import ErrorSerializer


def token_pair_response(pair: TokenPair | Renewal) -> Response:
    response = Response(token_pair_json(pair))
    cookies.set_refresh_cookie(response, pair)
    return response


class LoginView(PublicAPIView):
    """Sign in with email and password: 200 with a token pair, 401 `invalid_credentials`, 429.

    Where the account has a second factor, a right password without its code answers 401 `otp_required`, with a wrong
    one 401 `invalid_otp`.
    """

    throttle_classes: ClassVar[list[type]] = []  # its own limits replace the general one

    @extend_schema(
        operation_id="login",
        request=LoginSerializer,
        responses={200: TokenPairSerializer, 401: ErrorSerializer, 403: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        return token_pair_response(log_in(request, **read_login(request)))


class RefreshView(PublicAPIView):
    """Trade a refresh token, from the body or else from the cookie, for the next pair: 200, 401, 429."""

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="refresh", request=RefreshSerializer, responses={200: TokenPairSerializer, 401: ErrorSerializer}
    )
    def post(self, request: Request) -> Response:
        with charged_if_refused(REFRESH_BY_ADDRESS, request):
            token = self._read_token(request)
        charge_refresh(request, token.sid)
        return token_pair_response(rotate(token, Client.of(request)))

    def _read_token(self, request: Request) -> RefreshToken:
        """Return the verified token. Raises `InvalidToken`, and the 422 for a body that is none."""
        raw = read_refresh_token(request) or cookies.refresh_cookie(request)
        if not raw:
            raise InvalidToken("Send the refresh token in the body as refresh_token.")
        return RefreshToken.read(raw)


class LogoutView(WorkspaceAPIView):
    """End every sign-in of the caller: access and refresh tokens die with the next request. A sign-in by a workspace's
    own identity provider, of somebody who belongs to others as well, ends those in its workspace.

    A browser whose access token has expired may send its refresh cookie instead.
    """

    scopes = {"POST": SIGN_IN_OWN}
    authentication_classes = [*WorkspaceAPIView.authentication_classes, RefreshCookieAuthentication]

    @extend_schema(operation_id="logout", request=None, responses=MessageSerializer)
    def post(self, request: Request) -> Response:
        sessions.sign_out(request)
        response = Response({"message": "Signed out everywhere.", "success": True})
        cookies.clear_refresh_cookie(response)
        return response


class MeView(WorkspaceAPIView):
    """The signed-in user, with the role in the workspace of the token."""

    scopes = {"GET": SIGN_IN_OWN}

    @extend_schema(operation_id="me", responses=UserSerializer)
    def get(self, request: Request) -> Response:
        principal = request.auth
        membership = Membership.objects.select_related("user", "workspace").get(
            user_id=principal.user_id, workspace_id=principal.workspace_id
        )
        return Response(user_json(membership.user, membership))
