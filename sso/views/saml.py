"""Signing in by a workspace's identity provider: which people do, the ways out, and the way back."""

from dataclasses import asdict
from typing import ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.principal import Client
from accounts.throttles import DETECT_BY_ADDRESS, SAML_ANSWER_BY_ADDRESS, SAML_START_BY_ADDRESS, charged_by_address
from spatialflow.api import WITHOUT_HEAD, PublicAPIView
from spatialflow.errors import ErrorSerializer
from spatialflow.strict_forms import FormParser, read_fields
from sso import binding
from sso.saml_serving import detect_method
from sso.saml_sign_in import Wish, begin, begin_in_app, finish
from sso.serializers.saml import (
    AnswerSerializer,
    DetectedMethodSerializer,
    DetectMethodSerializer,
    InitiateSerializer,
    SsoFailedSerializer,
    StartSerializer,
)

TO_THE_PROVIDER = OpenApiResponse(description="To the identity provider.")
# What is missing is refused where it is used, with a sentence of its own.
NEEDED = [OpenApiParameter(name, required=name != "code_challenge_method") for name in StartSerializer().fields]
ERRORS = {400: ErrorSerializer, 403: ErrorSerializer, 404: ErrorSerializer}


class DetectMethodView(PublicAPIView):
    """How people with an email address sign in, by its domain alone: 200, 422, 429. Known and unknown people alike."""

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(operation_id="detect_method", request=DetectMethodSerializer, responses=DetectedMethodSerializer)
    def post(self, request: Request) -> Response:
        with charged_by_address(DETECT_BY_ADDRESS, request):
            body = DetectMethodSerializer(data=request.data)
            body.is_valid(raise_exception=True)
        return Response(asdict(detect_method(body.validated_data["email"])))


class InitiateView(PublicAPIView):
    """Begin a sign-in with a challenge: 302 to the workspace's identity provider, and a cookie that binds its answer to
    this browser. It ends in a login code at `next`.

    Without a challenge 302 to the dashboard, which begins it and ends at `next`, a page of this service. `test` begins
    an owner's test of the connection. What is refused is a page for whoever asks for text/html.
    """

    http_method_names = WITHOUT_HEAD
    answers_in_pages = True

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="saml_initiate", parameters=[InitiateSerializer], responses={302: TO_THE_PROVIDER, **ERRORS}
    )
    def get(self, request: Request, workspace_slug: str) -> HttpResponse:
        with charged_by_address(SAML_START_BY_ADDRESS, request):
            query = InitiateSerializer(data=read_fields(request.META["QUERY_STRING"].encode("latin-1")))
            query.is_valid(raise_exception=True)
        browser = binding.secret_to_begin_with(request)
        return _sent_away(begin(workspace_slug, Wish(**query.validated_data), browser), browser)


class StartView(PublicAPIView):
    """Begin a sign-in of an app: 302 to the identity provider of `workspace_slug`. It ends at `return`, an address of
    the app, with `code` and `state`, or with `error`, `reference` and `state`.
    """

    http_method_names = WITHOUT_HEAD
    answers_in_pages = True

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(operation_id="sso_start", parameters=NEEDED, responses={302: TO_THE_PROVIDER, **ERRORS})
    def get(self, request: Request) -> HttpResponse:
        with charged_by_address(SAML_START_BY_ADDRESS, request):
            query = StartSerializer(data=read_fields(request.META["QUERY_STRING"].encode("latin-1")))
            query.is_valid(raise_exception=True)
        wanted = dict(query.validated_data)
        slug, deeplink = wanted.pop("workspace_slug"), wanted.pop("return")
        browser = binding.secret_to_begin_with(request)
        return _sent_away(begin_in_app(slug, Wish(next=deeplink, **wanted), browser), browser)


class AcsView(PublicAPIView):
    """Where an identity provider has the browser post its answer (assertion consumer service): 302 to where the sign-in
    began, or to a page that asks where it was not begun here; 400 where none of this browser is known, as a page for
    whoever asks for text/html.
    """

    answers_in_pages = True

    throttle_classes: ClassVar[list[type]] = []
    parser_classes: ClassVar[list[type]] = [FormParser]

    @extend_schema(
        operation_id="saml_acs",
        request={FormParser.media_type: AnswerSerializer},
        responses={
            302: OpenApiResponse(description="Back to the page or app that began."),
            400: SsoFailedSerializer,
            404: ErrorSerializer,
        },
    )
    def post(self, request: Request, workspace_slug: str) -> HttpResponse:
        with charged_by_address(SAML_ANSWER_BY_ADDRESS, request):
            form = request.data
        arrival = finish(workspace_slug, form, binding.browser_secret(request), Client.of(request))
        response = HttpResponse(status=302, headers={"Location": arrival.location})
        if arrival.verifier:
            binding.keep_verifier(response, arrival.verifier)
        return response


def _sent_away(url: str, browser: str) -> HttpResponse:
    response = HttpResponse(status=302, headers={"Location": url})
    binding.bind(response, browser)
    return response
