"""Answers for machines that ask whether the service lives (`health`) and can work (`ready`). Not limited, no
credential.
"""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from spatialflow.api import HealthSerializer, PublicAPIView
from spatialflow.errors import ErrorSerializer
from spatialflow.readiness import check_ready


class HealthView(PublicAPIView):
    """The process answers; nothing else is asked."""

    rate_limit_exempt = True
    service = "spatialflow-api"

    @extend_schema(responses=HealthSerializer)
    def get(self, request: Request) -> Response:
        return Response({"status": "healthy", "service": self.service})


class ReadySerializer(serializers.Serializer):
    status = serializers.CharField()
    checks = serializers.DictField(child=serializers.CharField())


class NotReadySerializer(ErrorSerializer, ReadySerializer):
    """The body of the 503: an error that says of each check how it went."""


class ReadyView(PublicAPIView):
    """The database, its schema and the counters of the limits work: 200, or a 503 that names what does not."""

    rate_limit_exempt = True

    @extend_schema(operation_id="ready", responses={200: ReadySerializer, 503: NotReadySerializer})
    def get(self, request: Request) -> Response:
        return Response({"status": "ready", "checks": check_ready()})
