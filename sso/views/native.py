"""Signing in with Google or Apple in an app, the accounts that are linked thereby, and what Apple's server tells."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import cookies
from accounts.principal import Client
from accounts.scopes import ACCOUNT_OWN, ACCOUNT_READ, ACCOUNT_WRITE
from accounts.serializers.auth import MessageSerializer
from accounts.throttles import APPLE_NONCE, APPLE_NOTIFICATION, TOKEN_EXCHANGE, charged_by_address
from accounts.tokens import TokenPair
from spatialflow.api import PublicAPIView, WorkspaceAPIView
from spatialflow.errors import ErrorSerializer
from sso.identities import LinkingWithdrawn, disconnect, linked_to
from sso.login import Entry
from sso.native import FromApple, issue_apple_nonce, sign_in_with_apple, sign_in_with_google
from sso.notifications import act_on_notification
from sso.serializers.native import (
    AppleExchangeSerializer,
    GoogleExchangeSerializer,
    LinkedAccountsSerializer,
    NonceSerializer,
    NotificationSerializer,
    SignedInSerializer,
    signed_in_json,
)

EXCHANGE_RESPONSES = {
    status.HTTP_200_OK: SignedInSerializer,
    **dict.fromkeys((400, 401, 403, 404, 409, 502, 503), ErrorSerializer),
}


def signed_in(entry: Entry, pair: TokenPair) -> Response:
    response = Response(signed_in_json(entry, pair))
    cookies.set_refresh_cookie(response, pair)
    return response


class GoogleExchangeView(PublicAPIView):
    """Trade an id token that Google issued to an app in the last ten minutes for a token pair. It works once.

    An unknown Google account opens the account of its address where both sides have verified that, or else a new one.
    Where the account has a second factor, the answer without `otp` is 401 `otp_required`, with a wrong one 401
    `invalid_otp`; then the same token can be sent again.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(operation_id="google_token_exchange", request=GoogleExchangeSerializer, responses=EXCHANGE_RESPONSES)
    def post(self, request: Request) -> Response:
        with charged_by_address(TOKEN_EXCHANGE, request):
            body = GoogleExchangeSerializer(data=request.data)
            body.is_valid(raise_exception=True)
        sent = body.validated_data
        return signed_in(*sign_in_with_google(request, sent["id_token"], body.invitation_link, sent.get("otp")))


class AppleNonceView(PublicAPIView):
    """A nonce for the device to give to Apple, raw or as SHA-256 in hex: the identity token must come back with it.

    It works once, within ten minutes.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(operation_id="apple_nonce", request=None, responses=NonceSerializer)
    def post(self, request: Request) -> Response:
        with charged_by_address(APPLE_NONCE, request):
            return Response({"nonce": issue_apple_nonce()})


class AppleExchangeView(PublicAPIView):
    """Trade what Apple gave to an app in the last ten minutes for a token pair. Token, nonce and code work once.

    Where this would make an account without an invitation, it takes `confirm_new_account`: otherwise the answer is 409
    with that as its `error_code`, and the same can be sent again; so it can where the account has a second factor and
    the answer is 401 `otp_required` or `invalid_otp`.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(operation_id="apple_token_exchange", request=AppleExchangeSerializer, responses=EXCHANGE_RESPONSES)
    def post(self, request: Request) -> Response:
        with charged_by_address(TOKEN_EXCHANGE, request):
            body = AppleExchangeSerializer(data=request.data)
            body.is_valid(raise_exception=True)
        sent = body.validated_data
        given = FromApple(sent["identity_token"], sent["nonce"], sent["authorization_code"], body.name)
        may_create = bool(sent.get("confirm_new_account"))
        return signed_in(*sign_in_with_apple(request, given, body.invitation_link, sent.get("otp"), may_create))


class AppleNotificationView(PublicAPIView):
    """For Apple's server alone: what it has signed about people who sign in with it. Repeats are answered alike."""

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="apple_notification",
        request=NotificationSerializer,
        responses={200: MessageSerializer, 401: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        with charged_by_address(APPLE_NOTIFICATION, request):
            body = NotificationSerializer(data=request.data)
            body.is_valid(raise_exception=True)
            act_on_notification(body.validated_data["payload"], Client.of(request))
        return Response({"message": "Understood.", "success": True})


class LinkedAccountsView(WorkspaceAPIView):
    """Which accounts at providers sign in to the caller's account, and whether a password does."""

    scopes = {"GET": ACCOUNT_READ}

    @extend_schema(operation_id="get_linked_accounts", responses=LinkedAccountsSerializer)
    def get(self, request: Request) -> Response:
        linked = linked_to(request.auth.user_id)
        has_password = request.auth.get_user().has_usable_password()
        return Response(LinkedAccountsSerializer({"linked_accounts": linked, "has_password": has_password}).data)


class DisconnectView(WorkspaceAPIView):
    """Unlink an account at a provider. Sign-ins that came by it end, but for the caller's own.

    The last way in stays: without a password and another linked account the answer is 400 `last_way_in`.
    """

    scopes = {"DELETE": ACCOUNT_OWN}

    @extend_schema(operation_id="disconnect_oauth_account", responses={200: MessageSerializer})
    def delete(self, request: Request, provider: str) -> Response:
        disconnect(request, provider)
        return Response({"message": "The account was disconnected.", "success": True})


class LinkView(WorkspaceAPIView):
    """Withdrawn: always 400. Signing in with the provider links."""

    scopes = {"POST": ACCOUNT_WRITE}

    @extend_schema(operation_id="link_oauth_account", request=None, responses={400: ErrorSerializer}, deprecated=True)
    def post(self, request: Request, provider: str) -> Response:
        raise LinkingWithdrawn()
