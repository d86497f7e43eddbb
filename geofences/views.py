"""The geofence endpoints: each reads the caller's workspace from the principal, and passes on JSON that Postgres
built."""

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from geofences.openapi import A_YARD, PAGE_PARAMETERS, GeofenceAnswer, GeofencePageAnswer
from geofences.queries import find_geofence_json, read_geofence_page
from geofences.serializers import CreateGeofenceSerializer, UpdateGeofenceSerializer, read_page_query
from geofences.writes import create_geofence, delete_geofence, tag_key, update_geofence
from spatialflow.api import HealthSerializer, PublicAPIView, RawJSONResponse, WorkspaceAPIView, read_id
from spatialflow.errors import ErrorSerializer, NotFound


class HealthView(PublicAPIView):
    """The geofence service answers."""

    rate_limit_exempt = True

    @extend_schema(operation_id="geofence_health", responses=HealthSerializer)
    def get(self, request: Request) -> Response:
        return Response({"status": "healthy", "service": "geofences"})


class GeofenceListView(WorkspaceAPIView):
    """List the workspace's geofences, newest first; make one."""

    scopes = {"GET": "geofences:read", "POST": "geofences:write"}

    @extend_schema(operation_id="list_geofences", parameters=PAGE_PARAMETERS, responses=GeofencePageAnswer)
    def get(self, request: Request) -> Response:
        page = read_page_query(request.query_params)
        tag_keys = [tag_key(tag) for tag in page.tags]
        return RawJSONResponse(read_geofence_page(request.auth.workspace_id, page, tag_keys, request.path.rstrip("/")))

    @extend_schema(
        operation_id="create_geofence",
        request=CreateGeofenceSerializer,
        examples=[A_YARD],
        responses={201: GeofenceAnswer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        fields = _validated(CreateGeofenceSerializer(data=request.data))
        geofence_id = create_geofence(request.auth.workspace_id, request.auth.user_id, fields)
        return _geofence_response(request.auth.workspace_id, geofence_id, status=201)


class GeofenceView(WorkspaceAPIView):
    """One geofence: see, change, deactivate. A deactivated one can still be seen."""

    scopes = {"GET": "geofences:read", "PUT": "geofences:write", "DELETE": "geofences:write"}

    @extend_schema(operation_id="get_geofence", responses=GeofenceAnswer)
    def get(self, request: Request, geofence_id: str) -> Response:
        return _geofence_response(request.auth.workspace_id, read_id(geofence_id))

    @extend_schema(operation_id="update_geofence", request=UpdateGeofenceSerializer, responses=GeofenceAnswer)
    def put(self, request: Request, geofence_id: str) -> Response:
        identifier = read_id(geofence_id)
        fields = _validated(UpdateGeofenceSerializer(data=request.data))
        update_geofence(request.auth.workspace_id, identifier, fields)
        return _geofence_response(request.auth.workspace_id, identifier)

    @extend_schema(operation_id="delete_geofence", responses={204: None})
    def delete(self, request: Request, geofence_id: str) -> Response:
        delete_geofence(request.auth.workspace_id, read_id(geofence_id))
        return Response(status=204)


def _geofence_response(workspace_id: uuid.UUID, geofence_id: uuid.UUID, status: int = 200) -> Response:
    """Return the fence as it is stored now. Raises NotFound, in the same words for an absent fence and another
    workspace's."""
    body = find_geofence_json(workspace_id, geofence_id)
    if body is None:
        raise NotFound()
    return RawJSONResponse(body, status=status)


def _validated(serializer: serializers.Serializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
