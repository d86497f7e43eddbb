"""Settings / Security / Second factor: set up, recovery codes, removal.

Each page asks for what the account has, the password and where there is one a code; a fresh sign-in would prove less.
Secrets and recovery codes stand in the answer to the form that made them, and nowhere else.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import second_factor
from accounts.scopes import ACCOUNT_OWN
from accounts.serializers.second_factor import BothFactorsSerializer, CurrentPasswordSerializer, OtpSerializer
from dashboard.pages import FormPage, validated

PLACE = "/settings/security"


class SecondFactorPage(FormPage):
    """Base of the pages about one's own second factor."""

    scopes = {"GET": ACCOUNT_OWN, "POST": ACCOUNT_OWN}

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        user = request.auth.get_user()
        return {"has_password": user.has_usable_password(), "has_second_factor": user.has_second_factor, **kwargs}


class ShownCodes(SecondFactorPage):
    """What the pages that make recovery codes answer with; it has no address."""

    template = "dashboard/security/recovery_codes.html"
    title = "Keep your recovery codes"


def show_codes(request: HttpRequest, codes: list[str], done: str) -> HttpResponse:
    """Answer with the recovery codes, this once."""
    return ShownCodes().show(request, codes="\n".join(codes), done=done)


class BeginPage(SecondFactorPage):
    """Take the password; show the new secret as a QR code and as text, and ask for a first code."""

    template = "dashboard/security/second_factor.html"
    title = "Set up a second factor"
    done_already = (second_factor.SetupBegunAlready,)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {**super().context(request, **kwargs), "state": second_factor.setup_state(request.auth.get_user())}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        proof = validated(CurrentPasswordSerializer, request.POST)
        enrolment = second_factor.begin(request, **proof, seen=request.POST.get("state", ""))
        return ConfirmPage().show(request, enrolment=enrolment)


class ConfirmPage(SecondFactorPage):
    """Take the first code of the app, enable the factor, and show the recovery codes."""

    template = "dashboard/security/second_factor_confirm.html"
    title = "Enter a first code"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        codes = second_factor.confirm(request, **validated(OtpSerializer, request.POST))
        return show_codes(request, codes, "Your second factor is on. Your other sign-ins have ended.")


class RenewCodesPage(SecondFactorPage):
    """Take password and code, and show ten new recovery codes."""

    template = "dashboard/security/renew_codes.html"
    title = "Renew recovery codes"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        codes = second_factor.replace_recovery_codes(request, **validated(BothFactorsSerializer, request.POST))
        return show_codes(request, codes, "These replace your former recovery codes, which do not work any more.")


class RemovePage(SecondFactorPage):
    """Take password and code, and take the factor away."""

    template = "dashboard/security/remove_second_factor.html"
    title = "Remove second factor"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        second_factor.disable(request, **validated(BothFactorsSerializer, request.POST))
        messages.success(request, "Your second factor is removed. Your other sign-ins have ended.")
        return redirect(PLACE)
