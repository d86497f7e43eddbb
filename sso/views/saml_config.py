"""How owners connect their identity provider: the serving connection, the staged one, metadata, tests, attempts; and
our own metadata, for anybody.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import SSO_MANAGE
from spatialflow.api import PublicAPIView, WorkspaceAPIView
from spatialflow.errors import ErrorSerializer
from sso import saml_config, saml_staging, saml_tests
from sso.models import IdentityProvider
from sso.saml_metadata_import import import_metadata
from sso.saml_own_metadata import own_metadata
from sso.saml_presets import PRESETS
from sso.serializers.saml_config import (
    AttemptSerializer,
    AttemptsQuerySerializer,
    AttemptsSerializer,
    ConnectionSerializer,
    ImportedConnectionSerializer,
    MetadataInSerializer,
    PresetsSerializer,
    SAMLConfigInSerializer,
    SAMLConfigPatchSerializer,
    ServiceProviderSerializer,
    StagedConfigInSerializer,
    StagedConfigPatchSerializer,
    TestInSerializer,
    TestOutSerializer,
    attempt_json,
    config_json,
    service_provider_json,
)

MAX_NAME_SHOWN, MAX_UNKNOWN_SHOWN = 50, 10
NEAR = 0.75  # how alike a name must be to be meant
MEANT = {"requires_sso": "is_required"}
NO_SUCH = "There is no such setting."
NOTHING: Mapping[str, Any] = {}
SERVING, STAGED = IdentityProvider.State.SERVING, IdentityProvider.State.STAGED
CHANGED = {200: ConnectionSerializer, 400: ErrorSerializer, 404: ErrorSerializer, 409: ErrorSerializer}
DELETED = {204: None, 404: ErrorSerializer, 409: ErrorSerializer}


def known(serializer: type[serializers.Serializer], data: Any, told: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """Return the validated members of a body that holds no others, but what is `told` as it is: a setting that is
    misspelt would seem to be set. Raises the 422 that names the fields.
    """
    fields = serializer().fields
    sent = data.items() if isinstance(data, Mapping) else ()
    unknown = [str(name) for name, value in sent if name not in fields and not (name in told and told[name] == value)]
    if unknown:
        shown = {name[:MAX_NAME_SHOWN]: [_unknown(name, list(fields))] for name in unknown[:MAX_UNKNOWN_SHOWN]}
        raise serializers.ValidationError(shown)
    return validated(serializer, data)


def _unknown(name: str, fields: list[str]) -> str:
    if name in ConnectionSerializer().fields:
        return "This is told and cannot be set here."
    near = [MEANT[name]] if name in MEANT else get_close_matches(name, fields, 1, NEAR)
    return f"There is no such setting. Do you mean {near[0]}?" if near and near[0] in fields else NO_SUCH


def _told(request: Request, state: str) -> dict[str, Any]:
    """Return what GET answers now, for a PUT that brings it back."""
    provider = saml_config.find_all(request.auth).get(state)
    told: dict[str, Any] = json.loads(request.accepted_renderer.render(config_json(provider))) if provider else {}
    return told


def validated(serializer: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """Return the validated members of a body or query. Raises the 422 that names the fields."""
    reader = serializer(data=data)
    reader.is_valid(raise_exception=True)
    return reader.validated_data


class SamlConfigView(WorkspaceAPIView):
    """The connection by which the workspace's people sign in. For owners; on the plans business and enterprise.

    PUT creates it or replaces its core, PATCH changes any of it; a name that is no setting is a 422. 409
    `sso_is_required` where that could shut people out who sign in by it alone: stage a second one, test and promote it.
    """

    scopes = dict.fromkeys(("GET", "PUT", "PATCH", "DELETE"), SSO_MANAGE)

    @extend_schema(operation_id="get_saml_config", responses={200: ConnectionSerializer, 404: ErrorSerializer})
    def get(self, request: Request) -> Response:
        return Response(config_json(saml_config.find(request.auth)))

    @extend_schema(operation_id="upsert_saml_config", request=SAMLConfigInSerializer, responses=CHANGED)
    def put(self, request: Request) -> Response:
        return Response(
            config_json(saml_config.put(request, known(SAMLConfigInSerializer, request.data, _told(request, SERVING))))
        )

    @extend_schema(operation_id="patch_saml_config", request=SAMLConfigPatchSerializer, responses=CHANGED)
    def patch(self, request: Request) -> Response:
        return Response(config_json(saml_config.patch(request, known(SAMLConfigPatchSerializer, request.data))))

    @extend_schema(operation_id="delete_saml_config", responses=DELETED)
    def delete(self, request: Request) -> Response:
        saml_config.delete(request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class StagedConfigView(WorkspaceAPIView):
    """A second connection that signs nobody in: to be tested, and then promoted. A new one begins with the switches and
    the mapping of the serving one.
    """

    scopes = dict.fromkeys(("GET", "PUT", "PATCH", "DELETE"), SSO_MANAGE)

    @extend_schema(operation_id="get_staged_saml_config", responses={200: ConnectionSerializer, 404: ErrorSerializer})
    def get(self, request: Request) -> Response:
        return Response(config_json(saml_config.find(request.auth, STAGED)))

    @extend_schema(operation_id="upsert_staged_saml_config", request=StagedConfigInSerializer, responses=CHANGED)
    def put(self, request: Request) -> Response:
        fields = known(StagedConfigInSerializer, request.data, _told(request, STAGED))
        return Response(config_json(saml_config.put(request, fields, STAGED)))

    @extend_schema(operation_id="patch_staged_saml_config", request=StagedConfigPatchSerializer, responses=CHANGED)
    def patch(self, request: Request) -> Response:
        fields = known(StagedConfigPatchSerializer, request.data)
        return Response(config_json(saml_config.patch(request, fields, STAGED)))

    @extend_schema(operation_id="delete_staged_saml_config", responses=DELETED)
    def delete(self, request: Request) -> Response:
        saml_config.delete(request, STAGED)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PromoteView(WorkspaceAPIView):
    """Let the staged connection serve from this moment, once a test of it has passed. Who is signed in stays so."""

    scopes = {"POST": SSO_MANAGE}

    @extend_schema(operation_id="promote_staged_saml_config", request=None, responses=CHANGED)
    def post(self, request: Request) -> Response:
        return Response(config_json(saml_staging.promote(request)))


class RollBackView(WorkspaceAPIView):
    """Let the connection serve again that served before the last swap; the present one is kept in its place."""

    scopes = {"POST": SSO_MANAGE}

    @extend_schema(operation_id="roll_back_saml_config", request=None, responses=CHANGED)
    def post(self, request: Request) -> Response:
        return Response(config_json(saml_staging.roll_back(request)))


class ImportMetadataView(WorkspaceAPIView):
    """Configure a connection by its provider's metadata: pasted, or fetched from an address that is read again daily.

    The answer names what it changed.
    """

    scopes = {"POST": SSO_MANAGE}

    @extend_schema(
        operation_id="import_saml_metadata",
        request=MetadataInSerializer,
        responses={**CHANGED, 200: ImportedConnectionSerializer},
    )
    def post(self, request: Request) -> Response:
        provider, changes = import_metadata(request, **known(MetadataInSerializer, request.data))
        return Response({**config_json(provider), "changes": changes})


class ServiceProviderView(WorkspaceAPIView):
    """What to enter at the identity provider, which wants to know it first."""

    scopes = {"GET": SSO_MANAGE}

    @extend_schema(operation_id="get_saml_service_provider", responses=ServiceProviderSerializer)
    def get(self, request: Request) -> Response:
        return Response(service_provider_json(request.auth.get_workspace()))


class PresetsView(WorkspaceAPIView):
    """The identity providers that are known here: attribute names, NameID, and where to click."""

    scopes = {"GET": SSO_MANAGE}

    @extend_schema(operation_id="list_saml_presets", responses=PresetsSerializer)
    def get(self, request: Request) -> Response:
        return Response(PresetsSerializer({"presets": PRESETS.values()}).data)


class TestConnectionView(WorkspaceAPIView):
    """Begin a test: a real sign-in in the owner's browser that signs nobody in and ends at its checks."""

    scopes = {"POST": SSO_MANAGE}

    @extend_schema(
        operation_id="test_saml_config",
        request=TestInSerializer,
        responses={200: TestOutSerializer, 400: ErrorSerializer, 404: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        return Response({"url": saml_tests.begin_test(request, **known(TestInSerializer, request.data))})


class AttemptsView(WorkspaceAPIView):
    """Sign-ins that were refused, and tests, newest first: which check failed, what was expected and received."""

    scopes = {"GET": SSO_MANAGE}

    @extend_schema(
        operation_id="list_saml_attempts", parameters=[AttemptsQuerySerializer], responses=AttemptsSerializer
    )
    def get(self, request: Request) -> Response:
        query = validated(AttemptsQuerySerializer, request.query_params)
        page, next_cursor = saml_tests.list_attempts(request.auth, **query)
        return Response({"attempts": [attempt_json(attempt) for attempt in page], "next_cursor": next_cursor})


class AttemptView(WorkspaceAPIView):
    """One of them."""

    scopes = {"GET": SSO_MANAGE}

    @extend_schema(operation_id="get_saml_attempt", responses={200: AttemptSerializer, 404: ErrorSerializer})
    def get(self, request: Request, attempt_id: str) -> Response:
        return Response(attempt_json(saml_tests.get_attempt(request.auth, attempt_id)))


class OwnMetadataView(PublicAPIView):
    """Our metadata for a workspace's identity provider, once the workspace has configured one.

    `text/xml`, which the official SDK hands on as it is.
    """

    rate_limit_exempt = True

    @extend_schema(
        operation_id="saml_metadata",
        responses={(200, "text/xml"): OpenApiResponse(OpenApiTypes.STR), 404: ErrorSerializer},
    )
    def get(self, request: Request, workspace_slug: str) -> HttpResponse:
        return HttpResponse(own_metadata(workspace_slug), content_type="text/xml; charset=utf-8")
