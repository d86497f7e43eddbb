"""Answers for machines that ask whether the service lives (`health`) and can work (`ready`). Not limited, no
credential.
"""

from django.db import connection
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from spatialflow.api import HealthSerializer, PublicAPIView


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


class ReadyView(PublicAPIView):
    """The database answers too: 200, or 503."""

    rate_limit_exempt = True

    @extend_schema(operation_id="ready", responses=ReadySerializer)
    def get(self, request: Request) -> Response:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return Response({"status": "ready", "checks": {"database": "ok"}})
