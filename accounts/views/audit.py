"""The addresses of the audit log, for owners and managers: their own workspace's, and nobody else's."""

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit_log import MAX_EXPORTED, event_json, export_file, find_events
from accounts.scopes import AUDIT_READ
from accounts.serializers.audit import (
    AuditPageQuerySerializer,
    AuditPageSerializer,
    ExportedEventSerializer,
    ExportQuerySerializer,
)
from spatialflow.api import WITHOUT_HEAD, WorkspaceAPIView


class AuditLogView(WorkspaceAPIView):
    """The workspace's audit trail, newest first: what happened, who did it, to whom, from where."""

    scopes = {"GET": AUDIT_READ}

    @extend_schema(operation_id="list_audit_logs", parameters=[AuditPageQuerySerializer], responses=AuditPageSerializer)
    def get(self, request: Request) -> Response:
        query = AuditPageQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        page, size = query.validated_data["page"], query.validated_data["page_size"]
        events = find_events(request.auth.workspace_id, query.filters())
        total, end = events.count(), page * size
        logs = [event_json(event) for event in events[end - size : end]]
        body = {"logs": logs, "total": total, "page": page, "page_size": size, "has_more": total > end}
        return Response(body)


class AuditLogExportView(WorkspaceAPIView):
    """The newest 10,000 events that match, as CSV or, with `export_format=json`, as JSON; without their `changes`.

    In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe.
    """

    http_method_names = WITHOUT_HEAD
    scopes = {"GET": AUDIT_READ}

    @extend_schema(
        operation_id="export_audit_logs",
        parameters=[ExportQuerySerializer],
        responses={
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description=f"At most {MAX_EXPORTED:,} rows."),
            (200, "text/json"): ExportedEventSerializer(many=True),
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        query = ExportQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return export_file(request, query.filters(), query.validated_data["export_format"])
