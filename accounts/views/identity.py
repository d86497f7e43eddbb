"""Signing up, verifying an address, and replacing a password or an address.

What takes an email address answers and costs the same whether an account has it or not: the request only asks for a
mail, and whoever makes the mail looks (accounts/mail_identity.py).
"""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import throttles
from accounts.authentication import find_own_sign_in_id
from accounts.email_ownership import (
    ask_for_new_email,
    ask_for_own_verification,
    cancel_new_email,
    confirm_new_email,
    find_pending_change,
    verify_email,
)
from accounts.outbox import enqueue
from accounts.password_changes import change_password, reset_password
from accounts.principal import Client
from accounts.public_forms import read_email, read_link, read_signup, validated
from accounts.scopes import ACCOUNT_OWN, ACCOUNT_WRITE
from accounts.serializers.auth import MessageSerializer
from accounts.serializers.identity import (
    OF_THE_WORKSPACE,
    ChangeEmailSerializer,
    ChangePasswordSerializer,
    EmailSerializer,
    LinkSerializer,
    NewPasswordSerializer,
    PendingEmailSerializer,
    SignupSerializer,
    VerifiedSerializer,
)
from accounts.signup import sign_up
from accounts.sso_requirement import refuse_where_required
from spatialflow.api import PublicAPIView, WorkspaceAPIView
from spatialflow.errors import ApiError, ErrorSerializer


def done(message: str, **more: Any) -> Response:
    return Response({"message": message, "success": True, **more})


class SignupView(PublicAPIView):
    """Sign up. The answer is the same for an address that has an account; the mail that follows tells its owner.

    The new account may sign in at once, in a workspace of its own on the free plan; `selected_plan` is kept as a wish.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="signup", request=SignupSerializer, responses={201: MessageSerializer, 403: ErrorSerializer}
    )
    def post(self, request: Request) -> Response:
        body = read_signup(request)
        sign_up(Client.of(request), body.user(), body.validated_data["password"], body.given(*OF_THE_WORKSPACE))
        answer = {"message": "Look into your mail: what to do next is in it.", "success": True}
        return Response(answer, status=status.HTTP_201_CREATED)


class VerifyEmailView(PublicAPIView):
    """Verify an address with the secret of the mail that went to it. Works once, for 24 hours.

    Sign-ins that began with nothing but the link of an invitation end, except one whose access token comes along as
    Bearer. An account without a password gets one by `auth/forgot-password`.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(operation_id="verify_email", request=LinkSerializer, responses=VerifiedSerializer)
    def post(self, request: Request) -> Response:
        token = read_link(LinkSerializer, request)["token"]
        user = verify_email(Client.of(request), token, find_own_sign_in_id(request))
        how_to_sign_in = "" if user.has_usable_password() else " To sign in again, set a password by forgot-password."
        return done(f"Your email address is verified.{how_to_sign_in}", email_verified=True)


@extend_schema_view(post=extend_schema(operation_id="resend_verification"))
class ResendVerificationView(PublicAPIView):
    """Send the verification mail again, if there is an account with that address and it needs one."""

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(request=EmailSerializer, responses=MessageSerializer)
    def post(self, request: Request) -> Response:
        email = read_email(request, throttles.RESEND_BY_ADDRESS, throttles.RESEND_BY_EMAIL)
        enqueue("verify_email", email=email)
        return done("If this address has an account that is not verified yet, a new link is on its way to it.")


@extend_schema_view(post=extend_schema(operation_id="resend_verification_email"))
class ResendVerificationEmailView(ResendVerificationView):
    """The former spelling of `resend-verification`, with the same limits."""


class ResendOwnVerificationView(WorkspaceAPIView):
    """Send the caller's verification mail again, if the address is not verified yet."""

    scopes = {"POST": ACCOUNT_WRITE}

    @extend_schema(operation_id="resend_verification_authenticated", request=None, responses=MessageSerializer)
    def post(self, request: Request) -> Response:
        if ask_for_own_verification(request):
            return done("A new link is on its way to your email address.")
        return done("Your email address is verified already.")


@extend_schema_view(post=extend_schema(operation_id="forgot_password"))
class ForgotPasswordView(PublicAPIView):
    """Mail a link for setting a new password, or a first one, if there is an account with that address. Following it
    also proves the address.

    Where the domain's organisation requires single sign-on the answer is 403 `sso_required`, account or not.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(request=EmailSerializer, responses={200: MessageSerializer, 403: ErrorSerializer})
    def post(self, request: Request) -> Response:
        email = read_email(request, throttles.FORGOT_BY_ADDRESS, throttles.FORGOT_BY_EMAIL)
        refuse_where_required(email)
        enqueue("reset_password", email=email)
        return done("If this address has an account, a link for a new password is on its way to it.")


@extend_schema_view(post=extend_schema(operation_id="password_reset"))
class PasswordResetView(ForgotPasswordView):
    """The former spelling of `forgot-password`, with the same limits."""


class ConfirmPasswordResetView(PublicAPIView):
    """Set a new password with the secret of the mail. Works once, for one hour. Every sign-in ends; this makes none."""

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="confirm_password_reset",
        request=NewPasswordSerializer,
        responses={200: MessageSerializer, 403: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        body = read_link(NewPasswordSerializer, request)
        reset_password(Client.of(request), body["token"], body["password"])
        return done("Your password is changed. Sign in with it.")


class ChangePasswordView(WorkspaceAPIView):
    """Replace the caller's password. Their other sign-ins end, this one goes on. An account without a password answers
    409 `password_not_set`: `auth/forgot-password` sets a first one.
    """

    scopes = {"POST": ACCOUNT_OWN}

    @extend_schema(
        operation_id="change_password",
        request=ChangePasswordSerializer,
        responses={200: MessageSerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        change_password(request, **validated(ChangePasswordSerializer, request).validated_data)
        return done("Your password is changed. Your other devices are signed out.")


class ChangeEmailView(WorkspaceAPIView):
    """Ask to move the caller's account to another address: a link goes there, word of it to the present one.

    GET tells the address that waits for its link to be followed. DELETE makes that link worthless, and so does asking
    for another address. An account without a password answers 409 `password_not_set`.
    """

    scopes = {"GET": ACCOUNT_OWN, "POST": ACCOUNT_OWN, "DELETE": ACCOUNT_OWN}

    @extend_schema(operation_id="pending_email", responses=PendingEmailSerializer)
    def get(self, request: Request) -> Response:
        pending = find_pending_change(request.auth.user_id)
        return Response(
            {"new_email": pending.email if pending else None, "expires_at": pending.expires_at if pending else None}
        )

    @extend_schema(operation_id="cancel_email_change", responses={204: None, 404: ErrorSerializer})
    def delete(self, request: Request) -> Response:
        cancel_new_email(request)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="change_email",
        request=ChangeEmailSerializer,
        responses={200: MessageSerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        ask_for_new_email(request, **validated(ChangeEmailSerializer, request).validated_data)
        return done("Follow the link in the mail to the new address within one hour; until then nothing changes.")


class ConfirmNewEmailView(PublicAPIView):
    """Move an account with the secret that was mailed to its new address. Works once, for one hour. Every sign-in
    ends.
    """

    throttle_classes: ClassVar[list[type]] = []

    @extend_schema(
        operation_id="confirm_new_email",
        request=LinkSerializer,
        responses={200: MessageSerializer, 403: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        confirm_new_email(Client.of(request), read_link(LinkSerializer, request)["token"])
        return done("Your email address is changed. Sign in with the new one.")


class Gone(ApiError):
    status_code = status.HTTP_410_GONE
    default_code = "gone"


class GoneView(PublicAPIView):
    """Given up; the answer says what to use instead."""

    instead = ""

    @extend_schema(request=None, responses={410: ErrorSerializer})
    def post(self, request: Request) -> Response:
        raise Gone(f"This operation was given up; use POST {self.instead}.")
