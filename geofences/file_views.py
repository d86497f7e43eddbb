"""The endpoints that take and give files of fences, streamed both ways."""

from typing import Any, ClassVar

from django.conf import settings
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.throttles import IMPORTS_BY_KEY, IMPORTS_BY_SIGN_IN, charge_caller
from geofences.file_serializers import (
    ExportQuerySerializer,
    ImportAnswer,
    ImportQuerySerializer,
    ImportRefusedAnswer,
    read_export_query,
    read_import_query,
)
from geofences.files.formats import FORMATS
from geofences.openapi import PAGE_PARAMETERS
from geofences.transfers import MAX_IDLE_SECONDS, export_and_record, import_and_record
from geofences.turns import import_turn
from spatialflow.api import WITHOUT_HEAD, WorkspaceAPIView
from spatialflow.errors import ErrorSerializer

FILTERS = [parameter for parameter in PAGE_PARAMETERS if parameter.name not in ("limit", "offset")]
SCHEMAS = {"geojson": OpenApiTypes.OBJECT, "kml": OpenApiTypes.BINARY, "gpx": OpenApiTypes.BINARY}
ANY_FILE = {known.media_type: SCHEMAS[name] for name, known in FORMATS.items()}


class ImportView(WorkspaceAPIView):
    """Make fences of a file: a GeoJSON FeatureCollection, KML or GPX, of at most 64 MiB, told by its Content-Type or by
    `format`. All are made or, where a feature is refused, none, unless `on_error` is `skip`. With `dry_run` none are
    made, and the answer tells what would happen. 10 requests an hour for a sign-in, 60 for an API key.
    """

    scopes = {"POST": "geofences:write"}
    throttle_classes: ClassVar[list[type]] = []  # its own limit replaces the general one

    @extend_schema(
        operation_id="import_geofences",
        parameters=[ImportQuerySerializer],
        request=ANY_FILE,
        responses={
            200: ImportAnswer,
            201: ImportAnswer,
            408: ErrorSerializer,
            409: ErrorSerializer,
            413: ErrorSerializer,
            415: ErrorSerializer,
            422: ImportRefusedAnswer,
            503: ErrorSerializer,
        },
    )
    def post(self, request: Request) -> Response:
        with import_turn(request.auth.workspace_id, MAX_IDLE_SECONDS):
            # Whoever finds the slots taken is not charged.
            charge_caller(request, sign_in=IMPORTS_BY_SIGN_IN, key=IMPORTS_BY_KEY)
            max_features = settings.PLAN_IMPORT_FEATURES[request.auth.plan]
            options = read_import_query(request.query_params, request.content_type, max_features)
            answer = import_and_record(request, options)
        return Response(answer, status=201 if answer["created"] and not options.is_dry_run else 200)


class ExportView(WorkspaceAPIView):
    """All fences of the list as a file, oldest first; a later import makes the same fences of it. A circle is a point
    with its radius beside it, for none of the formats has circles. One export of a workspace at a time, one in
    each server process and two in all: else 409 `export_under_way` or 503 `exports_busy`, with `Retry-After`.
    """

    http_method_names = WITHOUT_HEAD
    scopes = {"GET": "geofences:read"}

    @extend_schema(
        operation_id="export_geofences",
        parameters=[ExportQuerySerializer, *FILTERS],
        responses={
            (200, known.media_type): OpenApiResponse(SCHEMAS[name], description="The file.")
            for name, known in FORMATS.items()
        }
        | {409: ErrorSerializer, 503: ErrorSerializer},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        name, page = read_export_query(request.query_params)
        pieces: Any = export_and_record(request, page, name)
        response = StreamingHttpResponse(pieces, content_type=FORMATS[name].media_type)
        response["Content-Disposition"] = f'attachment; filename="geofences.{name}"'
        return response
