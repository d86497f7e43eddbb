"""The geofence endpoints: each reads the caller's workspace from the principal, and passes on JSON that Postgres
built."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.throttles import BULK_BY_KEY, BULK_BY_SIGN_IN, charge_caller
from geofences.bulk import create_and_record
from geofences.bulk_serializers import BulkCreateSerializer, read_bulk_request
from geofences.listings import list_group, list_groups, list_tags, summarize_active
from geofences.openapi import (
    A_POINT,
    A_YARD,
    AN_ADDRESS,
    GROUP_PAGE_PARAMETERS,
    PAGE_PARAMETERS,
    BulkAnswer,
    GeofenceAnswer,
    GeofenceGroupAnswer,
    GeofencePageAnswer,
    GroupGeofencesAnswer,
    GroupsAnswer,
    GroupTestPointAnswer,
    SummaryAnswer,
    TagsAnswer,
    TestPointAnswer,
)
from geofences.point_serializers import GroupTestPointSerializer, TestPointSerializer
from geofences.points import describe, test_group, test_point
from geofences.queries import find_geofence_json, read_geofence_page
from geofences.serializers import (
    CreateGeofenceSerializer,
    GroupNameSerializer,
    UpdateGeofenceSerializer,
    read_group_page,
    read_page_query,
)
from geofences.writes import create_geofence, delete_geofence, set_archived, set_group, tag_key, update_geofence
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
    def get(self, request: Request) -> RawJSONResponse:
        page = read_page_query(request.query_params)
        tag_keys = [tag_key(tag) for tag in page.tags]
        return RawJSONResponse(read_geofence_page(request.auth.workspace_id, page, tag_keys, request.path.rstrip("/")))

    @extend_schema(
        operation_id="create_geofence",
        request=CreateGeofenceSerializer,
        examples=[A_YARD],
        responses={201: GeofenceAnswer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> RawJSONResponse:
        fields = _validated(CreateGeofenceSerializer(data=request.data))
        geofence_id = create_geofence(request.auth.workspace_id, request.auth.user_id, fields)
        return _geofence_response(request.auth.workspace_id, geofence_id, status=201)


class GeofenceView(WorkspaceAPIView):
    """One geofence: see, change, deactivate. A deactivated one can still be seen."""

    scopes = {"GET": "geofences:read", "PUT": "geofences:write", "DELETE": "geofences:write"}

    @extend_schema(operation_id="get_geofence", responses=GeofenceAnswer)
    def get(self, request: Request, geofence_id: str) -> RawJSONResponse:
        return _geofence_response(request.auth.workspace_id, read_id(geofence_id))

    @extend_schema(operation_id="update_geofence", request=UpdateGeofenceSerializer, responses=GeofenceAnswer)
    def put(self, request: Request, geofence_id: str) -> RawJSONResponse:
        """Change what is given. Where `source` is `address`, the circle follows `buffer_meters`, `lat` and `lng`, and
        a geometry that is not that circle makes a drawn fence of it; of a drawn fence these three say where its
        address lies.
        """
        identifier = read_id(geofence_id)
        fields = _validated(UpdateGeofenceSerializer(data=request.data))
        update_geofence(request.auth.workspace_id, identifier, fields)
        return _geofence_response(request.auth.workspace_id, identifier)

    @extend_schema(operation_id="delete_geofence", responses={204: None})
    def delete(self, request: Request, geofence_id: str) -> Response:
        delete_geofence(request.auth.workspace_id, read_id(geofence_id))
        return Response(status=204)


class ArchiveView(WorkspaceAPIView):
    """Take a fence out of the usual list; it stays as it is otherwise. Doing it again changes nothing."""

    scopes = {"POST": "geofences:write"}

    @extend_schema(operation_id="archive_geofence", request=None, responses=GeofenceAnswer)
    def post(self, request: Request, geofence_id: str) -> RawJSONResponse:
        identifier = read_id(geofence_id)
        set_archived(request.auth.workspace_id, identifier, archived=True)
        return _geofence_response(request.auth.workspace_id, identifier)


class UnarchiveView(WorkspaceAPIView):
    """Bring an archived fence back into the usual list. Doing it again changes nothing."""

    scopes = {"POST": "geofences:write"}

    @extend_schema(operation_id="unarchive_geofence", request=None, responses=GeofenceAnswer)
    def post(self, request: Request, geofence_id: str) -> RawJSONResponse:
        identifier = read_id(geofence_id)
        set_archived(request.auth.workspace_id, identifier, archived=False)
        return _geofence_response(request.auth.workspace_id, identifier)


class GeofenceGroupView(WorkspaceAPIView):
    """Put a fence into a group. The body is the group's name, or null for none."""

    scopes = {"PUT": "geofences:write"}

    @extend_schema(
        operation_id="update_geofence_group",
        request={"application/json": {"type": "string", "maxLength": 255, "nullable": True}},
        responses=GeofenceGroupAnswer,
    )
    def put(self, request: Request, geofence_id: str) -> Response:
        identifier = read_id(geofence_id)
        # The SDK sends no body at all for None.
        name = request.data if (request.META.get("CONTENT_LENGTH") or "").strip("0") else None
        fields = _validated(GroupNameSerializer(data={"group_name": name}))
        return Response(set_group(request.auth.workspace_id, identifier, fields["group_name"]))


class GroupListView(WorkspaceAPIView):
    """The groups that have fences, by name."""

    scopes = {"GET": "geofences:read"}

    @extend_schema(operation_id="list_geofence_groups", responses=GroupsAnswer)
    def get(self, request: Request) -> Response:
        return Response(list_groups(request.auth.workspace_id))


class GroupView(WorkspaceAPIView):
    """The fences of one group, newest first; none where all of them are archived."""

    scopes = {"GET": "geofences:read"}

    @extend_schema(
        operation_id="list_group_geofences", parameters=GROUP_PAGE_PARAMETERS, responses=GroupGeofencesAnswer
    )
    def get(self, request: Request, group_id: str) -> Response:
        identifier = read_id(group_id)
        return Response(list_group(request.auth.workspace_id, identifier, *read_group_page(request.query_params)))


class TagListView(WorkspaceAPIView):
    """The tags in use, by name: the first 500."""

    scopes = {"GET": "geofences:read"}

    @extend_schema(operation_id="list_workspace_tags", responses=TagsAnswer)
    def get(self, request: Request) -> Response:
        return Response(list_tags(request.auth.workspace_id))


class ActiveSummaryView(WorkspaceAPIView):
    """The newest active fences for a map: at most 500, and 4 MiB of geometry."""

    scopes = {"GET": "geofences:read"}

    @extend_schema(operation_id="get_active_geofences_summary", responses=SummaryAnswer)
    def get(self, request: Request) -> Response:
        return Response(summarize_active(request.auth.workspace_id))


class TestPointView(WorkspaceAPIView):
    """Which fences hold a point: of all in the usual list, of those named, or a draft. Nothing is stored or sent. Where
    more than 5,000 could hold it: 422 `too_many_candidates`.
    """

    scopes = {"POST": "geofences:read"}

    @extend_schema(
        operation_id="test_point", request=TestPointSerializer, examples=[A_POINT], responses=TestPointAnswer
    )
    def post(self, request: Request) -> Response:
        fields = _validated(TestPointSerializer(data=request.data))
        tested = test_point(request.auth.workspace_id, fields["position"], fields["draft"], fields.get("geofence_ids"))
        metadata = fields.get("request_metadata") or fields.get("metadata") or None
        return Response(describe(fields["position"], tested, metadata))


class GroupTestPointView(WorkspaceAPIView):
    """Which fences of a group hold a point. Nothing is stored or sent."""

    scopes = {"POST": "geofences:read"}

    @extend_schema(
        operation_id="test_group_point",
        request=GroupTestPointSerializer,
        examples=[A_POINT],
        responses=GroupTestPointAnswer,
    )
    def post(self, request: Request, group_id: str) -> Response:
        identifier = read_id(group_id)
        fields = _validated(GroupTestPointSerializer(data=request.data))
        return Response(test_group(request.auth.workspace_id, identifier, fields["position"]))


class BulkView(WorkspaceAPIView):
    """Make many fences from addresses with coordinates. 10 requests an hour for a sign-in, 60 for an API key."""

    scopes = {"POST": "geofences:write"}
    throttle_classes: ClassVar[list[type]] = []  # its own limit replaces the general one

    @extend_schema(
        operation_id="bulk_create_geofences",
        request=BulkCreateSerializer,
        examples=[AN_ADDRESS],
        responses={201: BulkAnswer, 409: ErrorSerializer, 413: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        charge_caller(request, sign_in=BULK_BY_SIGN_IN, key=BULK_BY_KEY)
        items, strategy = read_bulk_request(request.auth.workspace_id, request.auth.user_id, request.data)
        return Response({"results": create_and_record(request, items, strategy)}, status=201)


def _geofence_response(workspace_id: uuid.UUID, geofence_id: uuid.UUID, status: int = 200) -> RawJSONResponse:
    """Return the fence as it is stored now. Raises NotFound, in the same words for an absent fence and another
    workspace's."""
    body = find_geofence_json(workspace_id, geofence_id)
    if body is None:
        raise NotFound()
    return RawJSONResponse(body, status=status)


def _validated(serializer: serializers.Serializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
