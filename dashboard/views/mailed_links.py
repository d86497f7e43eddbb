"""Asking for a mail with a link, and following one: signing up, verifying an address, a new password, a new address."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import throttles
from accounts.email_ownership import ask_for_own_verification, confirm_new_email, verify_email
from accounts.outbox import enqueue
from accounts.password_changes import reset_password
from accounts.principal import Client
from accounts.public_forms import read_email, read_link, read_signup
from accounts.scopes import ACCOUNT_WRITE
from accounts.serializers.identity import OF_THE_WORKSPACE, LinkSerializer, NewPasswordSerializer
from accounts.signup import sign_up
from accounts.sso_requirement import refuse_where_required
from dashboard import entering
from dashboard.pages import FormPage, own_path
from dashboard.views.entrance import ONLY_SHOWN, EntrancePage, LinkPage

SIGN_UP_SENT = (
    "What to do next is in the mail that we have just sent. You can sign in at once; to make keys, verify your address."
)
RESET_SENT = "If this address has an account, a link for a new password is on its way to it. It works for one hour."


class SignUpPage(EntrancePage):
    """Make an account, where that is open; what to do next is in the mail, so the answer tells nothing of accounts."""

    template = "dashboard/entrance/sign_up.html"
    title = "Create an account"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"is_open": settings.SIGNUP_IS_OPEN}

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        read = read_signup(request)
        person, password = read.user(), read.validated_data["password"]
        sign_up(Client.of(request), person, password, read.given(*OF_THE_WORKSPACE))
        return redirect("/sign-up/sent")


class ForgotPasswordPage(EntrancePage):
    """Ask for a link that sets a new password."""

    template = "dashboard/entrance/forgot_password.html"
    title = "Set a new password"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"typed": request.session.get("email", "")}

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        email = read_email(request, throttles.FORGOT_BY_ADDRESS, throttles.FORGOT_BY_EMAIL)
        refuse_where_required(email)
        enqueue("reset_password", email=email)
        return redirect("/forgot-password/sent")


class SentPage(EntrancePage):
    """Say that the rest is in the mail, in words that hold whoever asked."""

    http_method_names = ONLY_SHOWN
    template = "dashboard/entrance/sent.html"
    title = "Look into your mail"
    what = ""
    again = ""

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        where = {"is_development": not settings.PRODUCTION, "mail_folder": settings.EMAIL_FILE_PATH}
        return {"what": self.what, "again": self.again, **where}


class ResetPasswordPage(LinkPage):
    """Set a new password with the secret of the mail. Every sign-in ends, and this makes none."""

    template = "dashboard/entrance/reset_password.html"
    title = "Choose a new password"

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        read = read_link(NewPasswordSerializer, request)
        reset_password(Client.of(request), read["token"], read["password"])
        return _done(request, "Your password is changed. Sign in with it.")


class VerifyEmailPage(LinkPage):
    """Verify an address; a button does it, not the link."""

    template = "dashboard/entrance/verify_email.html"
    title = "Verify your email address"

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        token = read_link(LinkSerializer, request)["token"]
        own_id = request.auth.credential_id if request.auth else None
        user = verify_email(Client.of(request), token, own_id)
        hint = "" if user.has_usable_password() else " To sign in again, set a password with “Forgot your password?”."
        return _done(request, f"Your email address is verified.{hint}", "/" if request.auth else "/sign-in")


class ConfirmEmailChangePage(LinkPage):
    """Move an account to the address that the link was mailed to. Every sign-in ends."""

    template = "dashboard/entrance/confirm_email_change.html"
    title = "Confirm your new email address"

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        confirm_new_email(Client.of(request), read_link(LinkSerializer, request)["token"])
        return _done(request, "Your email address is changed. Sign in with the new one.")


def _done(request: HttpRequest, sentence: str, place: str = "/sign-in") -> HttpResponse:
    entering.drop_link(request)
    messages.success(request, sentence)
    return redirect(place)


class ResendVerificationPage(FormPage):
    """Have the own verification mail sent again, and go back to the page that one was at."""

    scopes = {"GET": ACCOUNT_WRITE, "POST": ACCOUNT_WRITE}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("/")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if ask_for_own_verification(request):
            messages.success(request, "A new link is on its way to your email address.")
        else:
            messages.info(request, "Your email address is verified already.")
        return redirect(own_path(request.POST.get("next", "/")))
