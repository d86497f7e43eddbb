"""Single logout: the way out that begins here, and where the identity provider's messages arrive."""

from typing import ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import cookies
from accounts.authentication import RefreshCookieAuthentication
from accounts.principal import Client
from accounts.scopes import SIGN_IN_OWN
from accounts.throttles import SAML_ANSWER_BY_ADDRESS, charged_by_address
from spatialflow.api import WITHOUT_HEAD, PublicAPIView, WorkspaceAPIView
from spatialflow.errors import ErrorSerializer
from sso.serializers.saml import SsoFailedSerializer
from sso.serializers.saml_logout import LeaveSerializer, LogoutMessageSerializer, LogoutUrlSerializer
from sso.single_logout import leave, receive


class LeaveView(WorkspaceAPIView):
    """End the caller's sign-in, with the others of the same session at their identity provider: 200 with the address at
    which the browser ends that session too, or null.

    A browser whose access token has expired may send its refresh cookie instead.
    """

    scopes = {"POST": SIGN_IN_OWN}
    authentication_classes = [*WorkspaceAPIView.authentication_classes, RefreshCookieAuthentication]

    @extend_schema(
        operation_id="saml_logout",
        request=LeaveSerializer,
        responses={200: LogoutUrlSerializer, 400: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        body = LeaveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        url = leave(request, body.validated_data["next"], body.validated_data["return"])
        response = Response({"logout_url": url})
        cookies.clear_refresh_cookie(response)
        return response


class SingleLogoutView(PublicAPIView):
    """Where an identity provider sends a browser with its LogoutRequest, or its answer to ours (single logout service,
    HTTP-Redirect): 302 back to the provider or to where our logout was to end, 400 for whatever is not signed by it, as
    a page for whoever asks for text/html.
    """

    http_method_names = WITHOUT_HEAD
    answers_in_pages = True

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="saml_slo",
        parameters=[LogoutMessageSerializer],
        responses={
            302: OpenApiResponse(description="To the identity provider with our answer, or to the page or app."),
            400: SsoFailedSerializer,
            404: ErrorSerializer,
        },
    )
    def get(self, request: Request, workspace_slug: str) -> HttpResponse:
        with charged_by_address(SAML_ANSWER_BY_ADDRESS, request):
            query: str = request.META["QUERY_STRING"]
        location = receive(workspace_slug, query, Client.of(request))
        return HttpResponse(status=302, headers={"Location": location})
