"""The addresses of invitations: for owners and managers, and for whoever holds a link."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import cookies, invitation_batches, invitations
from accounts.acceptance import accept_by_link
from accounts.authentication import JWTAuthentication
from accounts.invitation_pages import read_page
from accounts.public_forms import read_acceptance
from accounts.scopes import INVITATIONS_READ, INVITATIONS_WRITE
from accounts.serializers.auth import MessageSerializer
from accounts.serializers.invitations import (
    AcceptedSerializer,
    AcceptPasswordlessSerializer,
    AcceptSerializer,
    BatchOutcomeSerializer,
    BatchSerializer,
    ExtendSerializer,
    InvitationListSerializer,
    InvitationSerializer,
    InviteSerializer,
    IssuedSerializer,
    PageQuerySerializer,
    accepted_json,
    batch_json,
    issued_json,
    page_json,
)
from spatialflow.api import PublicAPIView, WorkspaceAPIView
from spatialflow.errors import ErrorSerializer


def validated(serializer: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """Return the validated members of a body or query. Raises the 422 that names the fields."""
    reader = serializer(data=data)
    reader.is_valid(raise_exception=True)
    return reader.validated_data


class InvitationListView(WorkspaceAPIView):
    """List the pending invitations, newest first, by offset or after the cursor `before`; invite somebody.

    Owners may invite to any role, managers to any but owner. The answer to an invitation alone holds its link, which is
    also mailed.
    """

    scopes = {"GET": INVITATIONS_READ, "POST": INVITATIONS_WRITE}

    @extend_schema(
        operation_id="list_invitations", parameters=[PageQuerySerializer], responses=InvitationListSerializer
    )
    def get(self, request: Request) -> Response:
        query = validated(PageQuerySerializer, request.query_params)
        page = read_page(request.auth.workspace_id, query["limit"], query["offset"], query.get("before"))
        return Response(page_json(page))

    @extend_schema(operation_id="create_invitation", request=InviteSerializer, responses={201: IssuedSerializer})
    def post(self, request: Request) -> Response:
        issued = invitations.invite(request, **validated(InviteSerializer, request.data))
        return Response(issued_json(issued), status=status.HTTP_201_CREATED)


class InvitationView(WorkspaceAPIView):
    """One invitation: let it end at another moment (at most 90 days ahead; its link stays), or cancel it."""

    scopes = {"PATCH": INVITATIONS_WRITE, "DELETE": INVITATIONS_WRITE}

    @extend_schema(operation_id="extend_invitation", request=ExtendSerializer, responses=InvitationSerializer)
    def patch(self, request: Request, invite_id: str) -> Response:
        expires_at = validated(ExtendSerializer, request.data)["expires_at"]
        return Response(InvitationSerializer(invitations.extend(request, invite_id, expires_at)).data)

    @extend_schema(operation_id="cancel_invitation", responses={200: MessageSerializer})
    def delete(self, request: Request, invite_id: str) -> Response:
        invitations.cancel(request, invite_id)
        return Response({"message": "Invitation cancelled.", "success": True})


class ResendView(WorkspaceAPIView):
    """Send a pending invitation again: a new one with a new link takes its place."""

    scopes = {"POST": INVITATIONS_WRITE}

    @extend_schema(operation_id="resend_invitation", request=None, responses=IssuedSerializer)
    def post(self, request: Request, invite_id: str) -> Response:
        return Response(issued_json(invitations.resend(request, invite_id)))


class ResendMissingView(WorkspaceAPIView):
    """Send many pending invitations again, at most 200: the named ones, or the next page after `before`.

    What cannot be sent again is reported in its row.
    """

    scopes = {"POST": INVITATIONS_WRITE}

    @extend_schema(operation_id="resend_missing_invitations", request=BatchSerializer, responses=BatchOutcomeSerializer)
    def post(self, request: Request) -> Response:
        body = validated(BatchSerializer, request.data)
        batch = invitation_batches.resend_many(request, body.get("invitation_ids"), body.get("before"))
        return Response(batch_json(batch))


class LinkView(PublicAPIView):
    """What is asked of the holder of a link; a token of a signed-in person counts, and an invalid one is refused."""

    authentication_classes: ClassVar[list[type]] = [JWTAuthentication]
    throttle_classes: ClassVar[list[type]] = []

    def accept(self, request: Request, body: dict[str, Any], *, needs_password: bool) -> Response:
        password = body.get("password")
        pair = accept_by_link(request, body["invite_id"], body["token"], password, needs_password=needs_password)
        response = Response(accepted_json(pair))
        cookies.set_refresh_cookie(response, pair)
        return response


ACCEPT_RESPONSES = {200: AcceptedSerializer, **dict.fromkeys((401, 403, 404, 409), ErrorSerializer)}


class AcceptView(LinkView):
    """Accept an invitation with its link and a password: that of the account, or the first one of a new account.

    A signed-in person may send their access token as Bearer, and then needs no password. A token of somebody else is
    refused with 409 `INVITE_EMAIL_MISMATCH`, one that is not valid with 401.
    """

    @extend_schema(operation_id="accept_invitation", request=AcceptSerializer, responses=ACCEPT_RESPONSES)
    def post(self, request: Request) -> Response:
        return self.accept(request, read_acceptance(AcceptSerializer, request), needs_password=True)


class AcceptPasswordlessView(LinkView):
    """Accept an invitation with its link alone, which opens only a new account, or one that nobody has been inside.

    Refuses like `auth/accept-invite`; an account of the same address has to prove itself there.
    """

    @extend_schema(
        operation_id="accept_invitation_passwordless", request=AcceptPasswordlessSerializer, responses=ACCEPT_RESPONSES
    )
    def post(self, request: Request) -> Response:
        return self.accept(request, read_acceptance(AcceptPasswordlessSerializer, request), needs_password=False)
