"""Signing in by Google or Apple in a browser: which there are, the way out, the way back, and the trade at its end."""

from typing import ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import cookies
from accounts.principal import Client
from accounts.serializers.auth import token_pair_json
from accounts.throttles import (
    EXCHANGE_BY_ADDRESS,
    OAUTH_CALLBACK_BY_ADDRESS,
    OAUTH_START_BY_ADDRESS,
    charged_by_address,
)
from spatialflow.api import WITHOUT_HEAD, PublicAPIView
from spatialflow.errors import ErrorSerializer
from spatialflow.strict_forms import FormParser, read_fields
from sso import binding
from sso.login_codes import trade
from sso.providers import offered
from sso.round_trips import Wish, begin, finish, spend_malformed
from sso.serializers.web import (
    AuthorizationUrlSerializer,
    AuthorizeSerializer,
    CallbackSerializer,
    ExchangedSerializer,
    ExchangeRefusedSerializer,
    ExchangeSerializer,
    ExchangeThrottledSerializer,
    FormCallbackSerializer,
    ProvidersSerializer,
)


class ProvidersView(PublicAPIView):
    """The providers that this installation is set up for, for a sign-in page to show."""

    rate_limit_exempt = True

    @extend_schema(operation_id="get_oauth_providers", responses=ProvidersSerializer)
    def get(self, request: Request) -> Response:
        return Response(
            {
                "providers": [
                    {
                        "name": provider.name,
                        "display_name": provider.display_name,
                        "authorize_path": f"/api/v1/auth/oauth/{provider.name}/authorize",
                    }
                    for provider in offered()
                ]
            }
        )


class AuthorizeView(PublicAPIView):
    """Begin a sign-in: 200 with the address to send the browser to, and a cookie that binds the answer to it.

    A page of another configured origin fetches this with its credentials included, for that cookie. With a
    `code_challenge` and a `state` the sign-in ends in a login code for `sso/exchange`, without in the refresh cookie.
    """

    http_method_names = WITHOUT_HEAD
    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="oauth_authorize",
        parameters=[AuthorizeSerializer],
        responses={200: AuthorizationUrlSerializer, **dict.fromkeys((400, 404, 503), ErrorSerializer)},
    )
    def get(self, request: Request, provider: str) -> Response:
        with charged_by_address(OAUTH_START_BY_ADDRESS, request):
            query = AuthorizeSerializer(data=read_fields(request.META["QUERY_STRING"].encode("latin-1")))
            query.is_valid(raise_exception=True)
        browser = binding.secret_to_begin_with(request)
        response = Response({"authorization_url": begin(provider, Wish(**query.validated_data), browser)})
        binding.bind(response, browser)
        # Without it a browser drops the cookie of a cross-origin answer; which origins may read it, CORS says.
        response["Access-Control-Allow-Credentials"] = "true"
        return response


CALLBACK_RESPONSES = {
    302: OpenApiResponse(description="Back to the page that began."),
    400: ErrorSerializer,
    404: ErrorSerializer,
}


class CallbackView(PublicAPIView):
    """Where a provider sends the browser back: 302 to the page that began, with `code` and `state`, with the refresh
    cookie where it began without a challenge, or with `error`.

    Google comes by GET. Apple posts a form across sites, and its refusals may come by GET.
    """

    http_method_names = WITHOUT_HEAD
    answers_in_pages = True
    throttle_classes: ClassVar[list[type]] = []
    parser_classes: ClassVar[list[type]] = [FormParser]

    @extend_schema(
        operation_id="oauth_callback",
        parameters=[CallbackSerializer],
        responses=CALLBACK_RESPONSES,
    )
    def get(self, request: Request, provider: str) -> HttpResponse:
        with charged_by_address(OAUTH_CALLBACK_BY_ADDRESS, request):
            raw = request.META["QUERY_STRING"].encode("latin-1")
            try:
                callback = read_fields(raw)
            except ParseError:
                spend_malformed(raw)
                raise
        return _redirect(request, provider, callback)

    @extend_schema(
        operation_id="oauth_form_callback",
        request={FormParser.media_type: FormCallbackSerializer},
        responses=CALLBACK_RESPONSES,
    )
    def post(self, request: Request, provider: str) -> HttpResponse:
        with charged_by_address(OAUTH_CALLBACK_BY_ADDRESS, request):
            raw = request._request.body  # kept by Django from now on, so that what cannot be read as a form is here
            try:
                callback = request.data
            except (ParseError, UnsupportedMediaType):
                spend_malformed(raw)
                raise
        return _redirect(request, provider, callback)


def _redirect(request: Request, provider: str, callback: dict[str, str]) -> HttpResponse:
    arrival = finish(provider, callback, binding.browser_secret(request), Client.of(request))
    response = HttpResponse(status=302, headers={"Location": arrival.location})
    if arrival.pair is not None:
        cookies.set_refresh_cookie(response, arrival.pair)
    return response


class ExchangeView(PublicAPIView):
    """Trade the login code at the end of a browser's sign-in for a token pair: 200, 400, 401, 429.

    The code works once, for whoever holds the verifier of the challenge it was begun with. Where the account has a
    second factor, the answer without `otp` is 401 `otp_required`, with a wrong one 401 `invalid_otp`, after too many
    429: its `code` is for the next try, with the same verifier and state, and lasts a minute like the one before.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="sso_exchange",
        request=ExchangeSerializer,
        responses={
            200: ExchangedSerializer,
            400: ErrorSerializer,
            401: ExchangeRefusedSerializer,
            403: ErrorSerializer,
            429: ExchangeThrottledSerializer,
        },
    )
    def post(self, request: Request) -> Response:
        with charged_by_address(EXCHANGE_BY_ADDRESS, request):
            body = ExchangeSerializer(data=request.data)
            body.is_valid(raise_exception=True)
        wanted = body.validated_data
        pair, created = trade(request, wanted["code"], wanted["code_verifier"], wanted["state"], wanted.get("otp"))
        response = Response({**token_pair_json(pair), "created": created})
        cookies.set_refresh_cookie(response, pair)
        return response
