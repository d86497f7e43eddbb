"""What anybody may know: that the service lives, how it fares, and how to speak to it."""

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.outbox import is_behind
from spatialflow.api import HealthSerializer, PublicAPIView, RawJSONResponse
from spatialflow.docs import description


class StatusSerializer(HealthSerializer):
    """`approved_users` of the contract is left out: how many use a service is nobody's business."""

    admin_approval_required = serializers.BooleanField()
    signup_is_open = serializers.BooleanField()


class StatusView(PublicAPIView):
    """Whether the service works and who may sign up. Nobody has to be approved."""

    @extend_schema(operation_id="public_status", responses=StatusSerializer)
    def get(self, request: Request) -> Response:
        return Response(
            {
                "status": "operational",
                "service": "spatialflow",
                "admin_approval_required": False,
                "signup_is_open": settings.SIGNUP_IS_OPEN,
            }
        )


class ChecksSerializer(serializers.Serializer):
    database = serializers.ChoiceField(["ok"])
    email_service = serializers.ChoiceField(["ok", "degraded"])


class PublicHealthSerializer(HealthSerializer):
    status = serializers.ChoiceField(["healthy", "degraded"])
    timestamp = serializers.DateTimeField()
    checks = ChecksSerializer()


class PublicHealthView(PublicAPIView):
    """How the parts fare. `email_service` is degraded while mail waits longer than it should; without a database the
    answer is 503.
    """

    rate_limit_exempt = True

    @extend_schema(operation_id="public_health", responses=PublicHealthSerializer)
    def get(self, request: Request) -> Response:
        mail_waits = is_behind()
        return Response(
            {
                "status": "degraded" if mail_waits else "healthy",
                "service": "public",
                "timestamp": timezone.now(),
                "checks": {"database": "ok", "email_service": "degraded" if mail_waits else "ok"},
            }
        )


class ApiDocsSerializer(serializers.Serializer):
    """The members of an OpenAPI document that the contract names."""

    openapi = serializers.CharField()
    info = serializers.DictField()
    servers = serializers.ListField(child=serializers.DictField())


class ApiDocsView(PublicAPIView):
    """The whole description of the API in OpenAPI 3, the same as at `/api/v1/openapi.json`."""

    rate_limit_exempt = True

    @extend_schema(operation_id="public_docs", responses=ApiDocsSerializer)
    def get(self, request: Request) -> RawJSONResponse:
        return RawJSONResponse(description())


class DocsUiSerializer(serializers.Serializer):
    message = serializers.CharField()
    docs_url = serializers.CharField()


class DocsUiView(PublicAPIView):
    """Where the description can be read and tried as a page."""

    rate_limit_exempt = True

    @extend_schema(operation_id="public_docs_ui", responses=DocsUiSerializer)
    def get(self, request: Request) -> Response:
        return Response(
            {
                "message": "The API's description as a page, where every operation can be tried.",
                "docs_url": f"{settings.PUBLIC_URL}/api/v1/docs",
            }
        )
