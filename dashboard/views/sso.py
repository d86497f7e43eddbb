"""Settings / Single sign-on: the guided way with its steps, what to enter at the identity provider, and the way back in
for owners who are locked out. Connections, domains, tests and decisions have modules of their own.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.principal import Client
from accounts.scopes import SSO_MANAGE
from accounts.throttles import RECOVERY_BY_ADDRESS, charged_by_address
from dashboard import session
from dashboard.pages import FormPage, Page
from dashboard.sso_forms import PRESET_NAMES, preset_of
from dashboard.sso_path import certificates_of, standing_of, steps_of, warning_of
from dashboard.sso_wording import CALLED_THERE, step_of, words_of
from sso import recovery, saml_config
from sso.models import IdentityProvider
from sso.saml import service_provider
from sso.saml_presets import PRESETS
from sso.saml_tests import list_attempts

PLACE = "/settings/sso"
RECENT = 3


class SsoPage(FormPage):
    """Base of the pages about single sign-on: for owners, and changes want a fresh proof of who is there."""

    scopes = {"GET": SSO_MANAGE, "POST": SSO_MANAGE}
    way_back = (PLACE, "Go to Single sign-on")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        session.require_fresh(request)
        return super().post(request, *args, **kwargs)


class OverviewPage(Page):
    """How far the workspace has come, what is next, and everything that can be looked after."""

    scopes = {"GET": SSO_MANAGE}
    template = "dashboard/sso/overview.html"
    title = "Single sign-on"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        standing = standing_of(request.auth)
        refused = list_attempts(request.auth, limit=RECENT, is_test=False)[0] if standing.serving else []
        return {
            "standing": standing,
            "steps": steps_of(standing),
            "warning": warning_of(standing.serving) if standing.is_on else None,
            "certificates": certificates_of(standing.serving) if standing.serving else [],
            "lost": [claim for claim in standing.domains if claim.lost_at],
            "refused": [(attempt, words_of(attempt.failed_check)) for attempt in refused],
        }


class ProviderPage(Page):
    """What to enter where at an identity provider, for each that is known."""

    scopes = {"GET": SSO_MANAGE}
    template = "dashboard/sso/provider.html"
    title = "Tell your identity provider about this service"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        serving = saml_config.find_all(request.auth).get(IdentityProvider.State.SERVING)
        workspace = serving.workspace if serving else request.auth.get_workspace()
        preset = preset_of(request.GET.get("at", serving.preset if serving else "okta"))
        acs_name, entity_name = CALLED_THERE[preset]
        entity_id = service_provider.entity_id(workspace)
        return {
            "presets": PRESET_NAMES,
            "preset": PRESETS[preset],
            "steps": [step_of(step) for step in PRESETS[preset].steps],
            "addresses": [
                ("entity-id", "Entity ID", entity_name, entity_id),
                ("acs-url", "ACS URL", acs_name, service_provider.acs_url(workspace)),
            ],
            "more": [
                ("slo-url", "Logout URL", "single logout, by HTTP-Redirect", service_provider.slo_url(workspace)),
                ("initiate-url", "Start URL", "login URL, for a tile", service_provider.initiate_url(workspace)),
            ],
            "metadata_url": entity_id,
            "serving": serving,
        }


class RecoveryPage(SsoPage):
    """Explain the way in for an owner who is locked out, and have a link mailed to whoever asks, as from outside."""

    template = "dashboard/sso/recovery.html"
    title = "If you are locked out"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"workspace": request.auth.get_workspace()}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        email = request.auth.email
        with charged_by_address(RECOVERY_BY_ADDRESS, request):
            recovery.ask(email, request.auth.get_workspace().slug, Client.of(request))
        messages.success(
            request,
            f"If the workspace requires single sign-on, a link is on its way to {email}. It works once, within one "
            "hour, and every owner is told.",
        )
        return redirect(f"{PLACE}/recovery")
