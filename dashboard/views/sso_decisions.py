"""Settings / Single sign-on: what switches a connection on or off, requires, swaps or ends it, each on a page that asks
first; and the second connection, which waits for one of them.
"""

from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.scopes import SSO_MANAGE
from accounts.sso_requirement import domain_of
from dashboard.pages import Form, Page
from dashboard.seen import read_seen, seen_field
from dashboard.sso_path import certificates_of, standing_of, warning_of
from dashboard.views.sso import PLACE, SsoPage
from spatialflow.edited import left_as_seen
from spatialflow.errors import NotFound
from sso import saml_config, saml_staging
from sso.models import IdentityProvider
from sso.saml_meant import ServesAlready

State = IdentityProvider.State
KEYS = "refuses_api_keys"


class DecisionPage(SsoPage):
    """Base of the pages that ask. `state` is the connection that has to be there. The form names it, so that what is
    sent twice, or from a page that is not true any more, does not happen to another one.
    """

    state: ClassVar[str] = State.SERVING
    done: ClassVar[str] = ""
    goes_to: ClassVar[str] = PLACE
    done_already = (ServesAlready,)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        standing = standing_of(request.auth)
        provider = getattr(standing, str(self.state))
        if provider is None:
            raise NotFound()
        return {"standing": standing, "provider": provider}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        self.decide(request, request.POST.get("connection", ""))
        messages.success(request, self.done)
        return redirect(self.goes_to)

    def decide(self, request: HttpRequest, meant: str) -> None:
        raise NotImplementedError


class EnablePage(DecisionPage):
    template = "dashboard/sso/enable.html"
    title = "Switch the connection on"
    done = "The connection is switched on. People of your domains can sign in by it."

    def decide(self, request: HttpRequest, meant: str) -> None:
        saml_config.patch(request, {"is_enabled": True}, meant=meant)


class DisablePage(DecisionPage):
    template = "dashboard/sso/disable.html"
    title = "Switch the connection off"
    done = "The connection is switched off. Nobody signs in by it from now on, and who had is signed out."

    def decide(self, request: HttpRequest, meant: str) -> None:
        saml_config.patch(request, {"is_enabled": False}, meant=meant)


class RequirePage(DecisionPage):
    """Say what happens then, and to whom, before it does."""

    template = "dashboard/sso/require.html"
    title = "Require single sign-on"
    done = "Single sign-on is required from now on. People of your domains sign in by it and by nothing else."

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        now = self.now(request)
        seen = seen_field(request, form, status, now, {})
        refuses = self.chosen(request) if request.method == "POST" else now[KEYS]
        return super().show(request, form, status, seen=seen, refuses=refuses)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        context = super().context(request)
        own_domain = domain_of(request.auth.email)
        is_covered = own_domain in {claim.domain for claim in context["standing"].proven}
        return {**context, **kwargs, "is_covered": is_covered}

    def now(self, request: HttpRequest) -> dict[str, Any]:
        return {KEYS: request.auth.get_workspace().refuses_keys_under_sso}

    def chosen(self, request: HttpRequest) -> bool:
        return request.POST.get("api_keys") == "refused"

    def decide(self, request: HttpRequest, meant: str) -> None:
        seen, wanted = read_seen(request.POST, self.now(request)), {KEYS: self.chosen(request)}
        changed = {name: wanted[name] for name in wanted.keys() - left_as_seen(seen, wanted)}
        # A switch that its person has turned is as they want it, whoever turned it too: nothing is written over.
        saml_config.patch(request, {"is_required": True, **changed}, meant=meant)


class LiftPage(DecisionPage):
    template = "dashboard/sso/lift.html"
    title = "Stop requiring single sign-on"
    done = "Single sign-on is not required any more: passwords, Google and Apple work again."

    def decide(self, request: HttpRequest, meant: str) -> None:
        saml_config.patch(request, {"is_required": False}, meant=meant)


class DeletePage(DecisionPage):
    template = "dashboard/sso/delete.html"
    title = "Delete the connection"
    done = "The connection is deleted. People sign in with what they have here."

    def decide(self, request: HttpRequest, meant: str) -> None:
        saml_config.delete(request, meant=meant)


class StagedPage(Page):
    """The second connection that signs nobody in: how far it is, and what is next."""

    scopes = {"GET": SSO_MANAGE}
    template = "dashboard/sso/staged.html"
    title = "A second connection"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        standing = standing_of(request.auth)
        certificates = certificates_of(standing.staged) if standing.staged else []
        return {"standing": standing, "certificates": certificates, "warning": warning_of(standing.staged)}


class PromotePage(DecisionPage):
    state = State.STAGED
    template = "dashboard/sso/promote.html"
    title = "Let the second connection serve"
    done = "The second connection serves now. The former one is kept, so you can roll back."

    def decide(self, request: HttpRequest, meant: str) -> None:
        saml_staging.promote(request, meant)


class DiscardPage(DecisionPage):
    state = State.STAGED
    template = "dashboard/sso/discard.html"
    title = "Discard the second connection"
    done = "The second connection is discarded. What serves goes on as it was."

    def decide(self, request: HttpRequest, meant: str) -> None:
        saml_config.delete(request, State.STAGED, meant)


class RollBackPage(DecisionPage):
    state = State.FORMER
    template = "dashboard/sso/roll_back.html"
    title = "Roll back to the former connection"
    done = "The former connection serves again. The other one is kept in its place."

    def decide(self, request: HttpRequest, meant: str) -> None:
        saml_staging.roll_back(request, meant)
