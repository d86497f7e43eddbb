"""Settings / Single sign-on: the workspace's domains, each with the record that proves it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dashboard.pages import validated
from dashboard.sso_wording import OUTCOMES
from dashboard.views.sso import PLACE, SsoPage
from sso import domains
from sso.serializers.domains import DomainCreateSerializer

DOMAINS = f"{PLACE}/domains"


class DomainsPage(SsoPage):
    """List the domains; claim one more."""

    template = "dashboard/sso/domains.html"
    title = "Domains"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"claims": domains.list_domains(request.auth), "most": domains.MAX_DOMAINS}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        claim = domains.add(request, **validated(DomainCreateSerializer, request.POST))
        messages.success(request, f"{claim.domain} is added. Enter the record below in its DNS, then check it.")
        return redirect(f"{DOMAINS}/{claim.id}")


class DomainPage(SsoPage):
    """One domain with its record: have it checked, or make it the main one."""

    template = "dashboard/sso/domain.html"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        claim = domains.get_domain(request.auth, kwargs["domain_id"])
        return {"claim": claim, "title": claim.domain}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if request.POST.get("act") == "primary":
            claim = domains.make_primary(request, kwargs["domain_id"])
            messages.success(request, f"{claim.domain} is the main domain now.")
        else:
            checked = domains.check(request, kwargs["domain_id"])
            told = messages.success if checked.outcome == "proven" else messages.warning
            told(request, OUTCOMES[checked.outcome])
            if checked.found:
                messages.warning(request, f"Found instead: {'; '.join(checked.found)}")
        return redirect(f"{DOMAINS}/{kwargs['domain_id']}")


class RemoveDomainPage(SsoPage):
    """Ask whether, and take a domain away."""

    template = "dashboard/sso/remove_domain.html"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        claim = domains.get_domain(request.auth, kwargs["domain_id"])
        return {"claim": claim, "title": f"Remove {claim.domain}"}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        domains.remove(request, kwargs["domain_id"])
        messages.success(request, "The domain is removed. Nobody signs in by it any more.")
        return redirect(DOMAINS)
