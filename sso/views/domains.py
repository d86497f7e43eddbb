"""The mail domains of the caller's workspace, and their proof by the DNS."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import SSO_MANAGE
from spatialflow.api import WorkspaceAPIView
from spatialflow.errors import ErrorSerializer
from sso import domains
from sso.serializers.domains import (
    CheckSerializer,
    DomainCreateSerializer,
    DomainSerializer,
    DomainsSerializer,
    check_json,
    domain_json,
)


class DomainsView(WorkspaceAPIView):
    """The domains whose people sign in by the workspace's identity provider, each with the TXT record that proves it.

    Adding one proves nothing yet. Owners only, on the plans business and enterprise.
    """

    scopes = {"GET": SSO_MANAGE, "POST": SSO_MANAGE}

    @extend_schema(operation_id="list_workspace_domains", responses=DomainsSerializer)
    def get(self, request: Request) -> Response:
        return Response({"domains": [domain_json(claim) for claim in domains.list_domains(request.auth)]})

    @extend_schema(
        operation_id="add_workspace_domain",
        request=DomainCreateSerializer,
        responses={201: DomainSerializer, 400: ErrorSerializer, 403: ErrorSerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        body = DomainCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(domain_json(domains.add(request, **body.validated_data)), status=status.HTTP_201_CREATED)


class DomainView(WorkspaceAPIView):
    """One of them. When it is removed, people who signed in by it are signed out.

    The last proven one stays for as long as the workspace requires single sign-on (409 `sso_is_required`).
    """

    scopes = {"GET": SSO_MANAGE, "DELETE": SSO_MANAGE}

    @extend_schema(operation_id="get_workspace_domain", responses={200: DomainSerializer, 404: ErrorSerializer})
    def get(self, request: Request, domain_id: str) -> Response:
        return Response(domain_json(domains.get_domain(request.auth, domain_id)))

    @extend_schema(
        operation_id="remove_workspace_domain", responses={204: None, 404: ErrorSerializer, 409: ErrorSerializer}
    )
    def delete(self, request: Request, domain_id: str) -> Response:
        domains.remove(request, domain_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class VerifyDomainView(WorkspaceAPIView):
    """Ask the DNS for the record now. 200 whatever it says: `outcome` tells, and `found` what is there instead.

    A proven domain whose record is missing counts for 72 hours more. 30 checks an hour for one workspace.
    """

    scopes = {"POST": SSO_MANAGE}
    throttle_classes: ClassVar[list[type]] = []  # its own limit replaces the general one

    @extend_schema(
        operation_id="verify_workspace_domain",
        request=None,
        responses={200: CheckSerializer, 400: ErrorSerializer, 403: ErrorSerializer, 404: ErrorSerializer},
    )
    def post(self, request: Request, domain_id: str) -> Response:
        return Response(check_json(domains.check(request, domain_id)))


class PrimaryDomainView(WorkspaceAPIView):
    """Make a domain the primary one, which the SAML configuration names as `covered_domain`."""

    scopes = {"POST": SSO_MANAGE}

    @extend_schema(
        operation_id="set_primary_workspace_domain",
        request=None,
        responses={200: DomainSerializer, 403: ErrorSerializer, 404: ErrorSerializer},
    )
    def post(self, request: Request, domain_id: str) -> Response:
        return Response(domain_json(domains.make_primary(request, domain_id)))
