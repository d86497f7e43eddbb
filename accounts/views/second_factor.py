"""The second factor of the signed-in person: begin, confirm, remove, renew the recovery codes."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import second_factor
from accounts.scopes import ACCOUNT_OWN
from accounts.serializers.second_factor import (
    BothFactorsSerializer,
    CurrentPasswordSerializer,
    EnrolmentSerializer,
    OtpSerializer,
    RecoveryCodesSerializer,
)
from spatialflow.api import WorkspaceAPIView
from spatialflow.errors import ErrorSerializer

KEEP_THEM = "Keep these recovery codes: they are not shown again."


def read(serializer: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    body = serializer(data=request.data)
    body.is_valid(raise_exception=True)
    return body.validated_data


class SecondFactorView(WorkspaceAPIView):
    """POST begins: the answer's secret goes into an authenticator app and counts for nothing until it is confirmed. It
    takes the password; an account without one answers 409 `password_not_set`, and `auth/forgot-password` sets one.

    DELETE is `auth/totp/remove` for clients that can send its JSON body with that method.
    """

    scopes = {"POST": ACCOUNT_OWN, "DELETE": ACCOUNT_OWN}
    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="begin_totp",
        request=CurrentPasswordSerializer,
        responses={200: EnrolmentSerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        enrolment = second_factor.begin(request, **read(CurrentPasswordSerializer, request))
        return Response(EnrolmentSerializer(enrolment).data)

    @extend_schema(
        operation_id="disable_totp",
        responses={
            204: None,
            409: ErrorSerializer,
            413: ErrorSerializer,
            415: ErrorSerializer,
            422: ErrorSerializer,
        },
    )
    def delete(self, request: Request) -> Response:
        second_factor.disable(request, **read(BothFactorsSerializer, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class RemoveSecondFactorView(WorkspaceAPIView):
    """Take the second factor away, with the password and a code of the app or a recovery code. All other sign-ins of
    the person end.
    """

    scopes = {"POST": ACCOUNT_OWN}
    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="remove_totp", request=BothFactorsSerializer, responses={204: None, 409: ErrorSerializer}
    )
    def post(self, request: Request) -> Response:
        second_factor.disable(request, **read(BothFactorsSerializer, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ConfirmSecondFactorView(WorkspaceAPIView):
    """Enable the second factor with a first code of the app: from now on `login` wants one. All other sign-ins end.

    The answer holds ten recovery codes, each of which works once in place of a code.
    """

    scopes = {"POST": ACCOUNT_OWN}
    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="confirm_totp",
        request=OtpSerializer,
        responses={200: RecoveryCodesSerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        codes = second_factor.confirm(request, **read(OtpSerializer, request))
        return Response({"message": f"Second factor enabled. {KEEP_THEM}", "recovery_codes": codes})


class RecoveryCodesView(WorkspaceAPIView):
    """Make ten new recovery codes; the ones before are worthless from now on."""

    scopes = {"POST": ACCOUNT_OWN}
    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="replace_recovery_codes",
        request=BothFactorsSerializer,
        responses={200: RecoveryCodesSerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        codes = second_factor.replace_recovery_codes(request, **read(BothFactorsSerializer, request))
        return Response({"message": f"Recovery codes replaced. {KEEP_THEM}", "recovery_codes": codes})
