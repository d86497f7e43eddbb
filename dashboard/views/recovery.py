"""The way in for owners whom single sign-on locks out: asking for the link, using it, and what to do then."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.login import InvalidOtp, OtpRequired
from accounts.principal import Client
from accounts.scopes import SSO_MANAGE
from accounts.throttles import RECOVERY_BY_ADDRESS, RECOVERY_LINK_BY_ADDRESS, charged_by_address
from dashboard import entering
from dashboard.pages import FormPage, form_of, validated, with_headers
from dashboard.views.entrance import EntrancePage, LinkPage
from spatialflow.errors import NotFound
from sso import recovery, saml_config
from sso.serializers.recovery import AskForRecoverySerializer, RedeemRecoverySerializer

REPAIR = "/sso-recovery/repair"
LINK_SENT = (
    "If this is an owner's address and the workspace requires single sign-on, a link is on its way to it. It works "
    "once, within one hour."
)


class AskForRecoveryPage(EntrancePage):
    """Ask for a recovery link; whether there is an owner to mail it to is found out later."""

    template = "dashboard/entrance/ask_for_recovery.html"
    title = "Locked out by single sign-on"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        way = request.session.get("way") or {}
        return {"typed": request.session.get("email", ""), "slug": way.get("workspace_slug", "")}

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        with charged_by_address(RECOVERY_BY_ADDRESS, request):
            read = validated(AskForRecoverySerializer, request.POST)
        recovery.ask(read["email"], read["workspace_slug"], Client.of(request))
        return redirect("/sso-recovery/sent")


class RedeemRecoveryPage(LinkPage):
    """Sign in with a recovery link, for an hour, to repair single sign-on; the second factor is asked for where there
    is one, and spends nothing until it is right.
    """

    template = "dashboard/entrance/redeem_recovery.html"
    title = "Repair single sign-on"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"needs_code": kwargs.get("needs_code", False)}

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        with charged_by_address(RECOVERY_LINK_BY_ADDRESS, request):
            read = validated(RedeemRecoverySerializer, request.data)
        try:
            pair = recovery.redeem(request, read["token"], read.get("otp"))
        except (OtpRequired, InvalidOtp) as refusal:
            form, status = form_of(request.POST, refusal)
            return with_headers(self.show(request, form, status, needs_code=True), request, refusal)
        entering.drop_link(request)
        return entering.arrive(request, pair, REPAIR)


class RepairPage(FormPage):
    """Say what a recovery sign-in can do, and stop requiring single sign-on."""

    scopes = {"GET": SSO_MANAGE, "POST": SSO_MANAGE}
    template = "dashboard/entrance/repair.html"
    title = "Repair single sign-on"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        if not request.auth.is_recovery:
            raise NotFound()
        return {"workspace": request.auth.get_workspace()}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not request.auth.is_recovery:
            raise NotFound()
        saml_config.patch(request, {"is_required": False})
        messages.success(request, "Single sign-on is not required any more: passwords, Google and Apple work again.")
        return redirect(REPAIR)
