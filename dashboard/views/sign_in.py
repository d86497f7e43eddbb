"""Signing in step by step: the email address, the password, the second factor. And signing out."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import sessions
from accounts.login import InvalidOtp, OtpRequired, enter, prove_password
from accounts.models import User
from accounts.public_forms import read_login
from accounts.serializers.second_factor import OtpSerializer
from accounts.throttles import (
    DETECT_BY_ADDRESS,
    EXCHANGE_BY_ADDRESS,
    LOGIN_BY_ADDRESS,
    charge_login,
    charged_by_address,
    charged_if_refused,
)
from accounts.tokens import TokenPair
from dashboard import entering, session
from dashboard.entering import RoundTrip
from dashboard.pages import validated
from dashboard.views.entrance import ONLY_SHOWN, EntrancePage
from spatialflow.throttling import Throttled
from sso.login_codes import InvalidLoginCode, trade
from sso.providers import offered
from sso.saml_serving import detect_method
from sso.serializers.saml import DetectMethodSerializer
from sso.single_logout import began_by_provider, leave

INVITATION_PAGE = "/accept-invite"
LOGOUT_INCOMPLETE = "logout_incomplete"  # what single logout tells the page where it ends


class EmailPage(EntrancePage):
    """Ask for the email address: its domain alone decides how to go on, so the next page tells nothing of accounts."""

    template = "dashboard/entrance/email.html"
    title = "Sign in"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        typed = request.session.get("email", "")
        wanted = entering.destination(request) if typed else "/"  # begun, and corrected: the wish remains
        entering.start_over(request, request.GET.get("next", wanted))
        if request.GET.get("error") == LOGOUT_INCOMPLETE:
            messages.warning(request, "Your identity provider could not sign you out everywhere. Close the browser.")
        return redirect(entering.destination(request)) if request.auth else self.show(request, typed=typed)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"providers": offered(), "typed": kwargs.get("typed", ""), "is_open": settings.SIGNUP_IS_OPEN}

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        with charged_by_address(DETECT_BY_ADDRESS, request):
            email = validated(DetectMethodSerializer, request.POST)["email"]
        way = detect_method(email)
        entering.keep_address(request, email, way)
        return redirect(f"/sign-in/sso/{way.workspace_slug}" if way.required else "/sign-in/password")


class SsoPage(EntrancePage):
    """Lead to the identity provider of a workspace. A form cannot: our policy lets none end at another site."""

    http_method_names = ONLY_SHOWN
    template = "dashboard/entrance/sso.html"
    title = "Single sign-on"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = self.show(request, **kwargs)
        if _way(request, kwargs["slug"]):
            response["Refresh"] = f"0; url=/sign-in/by/{kwargs['slug']}"
        return response

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"slug": kwargs["slug"], "way": _way(request, kwargs["slug"])}


def _way(request: HttpRequest, slug: str) -> dict[str, Any] | None:
    """Return the provider that this browser's address was just found to have, if it is this workspace's."""
    way: dict[str, Any] | None = request.session.get("way")
    return way if way and way["workspace_slug"] == slug else None


class PasswordPage(EntrancePage):
    """Ask for the password, and offer the identity provider that the address has but does not require."""

    template = "dashboard/entrance/password.html"
    title = "Enter your password"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show(request) if "email" in request.session else redirect("/sign-in")

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"email": request.session["email"], "way": request.session.get("way")}

    def sent(self, request: HttpRequest) -> Any:
        return {"email": request.session.get("email", ""), "password": request.POST.get("password", "")}

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if "email" not in request.session:
            return redirect("/sign-in")
        shown = request.POST.get("username", request.session["email"])
        if shown != request.session["email"]:  # another tab has begun to sign somebody else in
            messages.warning(request, f"This form was for {shown}. Enter the password of the address shown now.")
            return redirect("/sign-in/password")
        read = read_login(request)
        account = prove_password(request, read["email"], read["password"])
        if account.user.has_second_factor:
            entering.keep_proof(request, account.user)
            return redirect("/sign-in/code")
        return entering.arrive(request, enter(request, account.user, membership=account.membership()))


class CodePage(EntrancePage):
    """Ask for the code of the second factor, behind a password or behind Google's or Apple's word."""

    template = "dashboard/entrance/code.html"
    title = "Enter your code"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        is_asked = _find_pending(request) or entering.find_proven(request)
        return self.show(request) if is_asked else redirect("/sign-in")

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"is_hasty": _find_pending(request) is not None}

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        trip, user = _find_pending(request), entering.find_proven(request)
        try:
            if trip is not None:
                return entering.arrive_by(request, trip, _trade(request, trip))
            if user is not None:
                return entering.arrive(request, _enter(request, user))
        except InvalidLoginCode:
            pass  # as if there had been none
        messages.error(request, "That took too long. Begin the sign-in again.")
        return redirect("/sign-in")


def _find_pending(request: HttpRequest) -> RoundTrip | None:
    """Return the round trip that lacks nothing but the second factor."""
    trip = entering.find_round_trip(request)
    return trip if trip and trip.code else None


def _enter(request: HttpRequest, user: User) -> TokenPair:
    with charged_if_refused(LOGIN_BY_ADDRESS, request):
        otp = validated(OtpSerializer, request.POST)["otp"]
    charge_login(request, user.email)
    return enter(request, user, otp)


def _trade(request: HttpRequest, trip: RoundTrip) -> TokenPair:
    with charged_by_address(EXCHANGE_BY_ADDRESS, request):
        otp = validated(OtpSerializer, request.POST)["otp"]
    try:
        return trade(request, trip.code, trip.verifier, trip.state, otp)[0]
    except (OtpRequired, InvalidOtp, Throttled) as refusal:
        entering.keep_code(request, trip, refusal.extra.get("code", ""))
        raise


class SignOutPage(EntrancePage):
    """End the sign-in of this browser, on the server too, whatever copies of its cookie there are. One by an identity
    provider that offers single logout ends there as well.
    """

    template = "dashboard/entrance/signed_out.html"
    title = "You are signed out here"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("/")

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        at_the_provider = None
        if request.auth is not None and began_by_provider(request):
            at_the_provider = leave(request, "/sign-in", "")
        elif request.auth is not None:
            sessions.end(request, str(request.auth.credential_id))
        link = entering.find_link(request, INVITATION_PAGE)
        session.end(request)
        if link and request.POST.get("next") == INVITATION_PAGE:
            request.session["links"] = {INVITATION_PAGE: link}
            return redirect(INVITATION_PAGE)
        response = redirect("/sign-in")
        if at_the_provider:  # by a page: browsers let no form lead to another site (CSP, form-action)
            request.auth = None
            response = self.show(request, url=at_the_provider)
            response["Refresh"] = f"0; url={at_the_provider}"
        messages.success(request, "You are signed out.")  # for the page where it ends
        return response

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return kwargs
