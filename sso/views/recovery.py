"""The way in for owners whom their identity provider locks out: asking for the link, and using it."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.principal import Client
from accounts.serializers.auth import MessageSerializer, TokenPairSerializer
from accounts.throttles import RECOVERY_BY_ADDRESS, RECOVERY_LINK_BY_ADDRESS, charged_by_address
from accounts.views.auth import token_pair_response
from spatialflow.api import PublicAPIView
from spatialflow.errors import ErrorSerializer
from sso.recovery import ask, redeem
from sso.serializers.recovery import AskForRecoverySerializer, RedeemRecoverySerializer


class AskForRecoveryView(PublicAPIView):
    """Mail a link to an owner whom single sign-on locks out: always 202, whoever asks for whom.

    It goes to an active owner, address verified, of a workspace that requires single sign-on, three times an hour at
    most. All owners are told.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="ask_for_sso_recovery", request=AskForRecoverySerializer, responses={202: MessageSerializer}
    )
    def post(self, request: Request) -> Response:
        with charged_by_address(RECOVERY_BY_ADDRESS, request):
            body = AskForRecoverySerializer(data=request.data)
            body.is_valid(raise_exception=True)
        ask(body.validated_data["email"], body.validated_data["workspace_slug"], Client.of(request))
        message = "If this is an owner's address and the workspace requires single sign-on, a link is on its way to it."
        return Response({"message": message, "success": True}, status=status.HTTP_202_ACCEPTED)


class RedeemRecoveryView(PublicAPIView):
    """Trade the link's secret for a token pair that repairs single sign-on, for one hour: 200, 400 `invalid_link`, 401.

    Where the account has a second factor its code is needed, 401 `otp_required` or `invalid_otp`; that leaves the link
    unspent. The sign-in reads and changes the single sign-on settings and nothing else.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="redeem_sso_recovery",
        request=RedeemRecoverySerializer,
        responses={200: TokenPairSerializer, 401: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        with charged_by_address(RECOVERY_LINK_BY_ADDRESS, request):
            body = RedeemRecoverySerializer(data=request.data)
            body.is_valid(raise_exception=True)
        sent = body.validated_data
        return token_pair_response(redeem(request, sent["token"], sent.get("otp")))
