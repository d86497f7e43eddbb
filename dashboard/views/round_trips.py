"""Signing in by Google, Apple or a workspace's identity provider: the way out, and the way back.

The dashboard is a client like any other: it begins with a challenge and a state of its own, and trades the code at the
end. Both are kept in the session, so nobody can bring somebody else's browser an end that it did not begin.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.login import OtpRequired
from accounts.throttles import (
    EXCHANGE_BY_ADDRESS,
    OAUTH_START_BY_ADDRESS,
    SAML_START_BY_ADDRESS,
    charged_by_address,
)
from dashboard import entering
from dashboard.entering import RoundTrip
from dashboard.middleware import is_from_here
from dashboard.pages import with_headers
from dashboard.round_trip_errors import sentence_for
from dashboard.views.entrance import ONLY_SHOWN, EntrancePage
from dashboard.views.sign_in import INVITATION_PAGE
from dashboard.wording import sentence_of
from spatialflow.errors import ApiError
from sso import binding, round_trips, saml_sign_in
from sso.login_codes import trade
from sso.saml_serving import find_serving

END = "/signed-in"
REFERENCE = re.compile(r"[A-Za-z0-9-]{1,40}")


class BeginWithProviderPage(EntrancePage):
    """Send the browser to Google or Apple; with `invited`, to accept the invitation whose link it has."""

    http_method_names = ONLY_SHOWN

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with charged_by_address(OAUTH_START_BY_ADDRESS, request):
            invitation = self._invitation(request)
        name = kwargs["provider"]
        binds = _begin(request, f"/sign-in/with/{name}" + ("?invited=1" if invitation else ""))
        browser = binding.secret_to_begin_with(request)
        url = round_trips.begin(name, round_trips.Wish(next=END, **binds, **invitation), browser)
        return _sent_away(url, browser)

    @staticmethod
    def _invitation(request: HttpRequest) -> dict[str, str]:
        link = entering.find_link(request, INVITATION_PAGE) if "invited" in request.GET else None
        return {"invite_id": link["invite_id"], "invite_token": link["token"]} if link else {}


class BeginByWorkspacePage(EntrancePage):
    """Send the browser to the identity provider of a workspace; ask first where another site may have sent it here, or
    somebody is signed in. Whoever wrote such a link may own the workspace, and have the browser act for an account of
    theirs from then on.
    """

    template = "dashboard/entrance/by_workspace.html"
    title = "Single sign-on"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        replaces = request.auth is not None and not request.session.get("confirming")
        if replaces or not is_from_here(request):
            return self.show(request, slug=kwargs["slug"])
        return self._begin(request, kwargs["slug"], lambda url: HttpResponse(status=302, headers={"Location": url}))

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        slug = kwargs["slug"]
        return self._begin(request, slug, lambda url: self._on_the_way(request, slug, url))

    def _begin(self, request: HttpRequest, slug: str, lead: Callable[[str], HttpResponse]) -> HttpResponse:
        with charged_by_address(SAML_START_BY_ADDRESS, request):
            binds = _begin(request, f"/sign-in/by/{slug}")
        browser = binding.secret_to_begin_with(request)
        trip = entering.find_round_trip(request)
        wish = saml_sign_in.Wish(next=END, **binds, force_login=trip is not None and trip.confirms)
        response = lead(saml_sign_in.begin(slug, wish, browser))
        binding.bind(response, browser)
        return response

    def _on_the_way(self, request: HttpRequest, slug: str, url: str) -> HttpResponse:
        """Return a page that leads on: browsers let no form lead to another site (CSP, form-action)."""
        response = self.show(request, slug=slug, url=url)
        response["Refresh"] = f"0; url={url}"
        return response

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"workspace": find_serving(kwargs["slug"]).workspace, "url": kwargs.get("url", "")}


def _begin(request: HttpRequest, again: str) -> dict[str, str]:
    if "next" in request.GET or "invited" in request.GET:
        entering.start_over(request, request.GET.get("next", "/"))
    return entering.begin_round_trip(request, again)


def _sent_away(url: str, browser: str) -> HttpResponse:
    response = HttpResponse(status=302, headers={"Location": url})
    binding.bind(response, browser)
    return response


class SignedInPage(EntrancePage):
    """Where a round trip ends: trade its code and go on, ask for the second factor first, or say what went wrong."""

    http_method_names = ONLY_SHOWN
    template = "dashboard/entrance/not_signed_in.html"
    title = "You are not signed in"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        code, error = request.GET.get("code", ""), request.GET.get("error", "")
        if not code and not error:
            return redirect(entering.destination(request) if request.auth else "/sign-in")
        trip = entering.take_round_trip(request, request.GET.get("state", ""))
        if trip is None:
            return self._failed(request, "This sign-in was not begun in this browser, or others were begun since.")
        if error:
            return self._failed(request, sentence_for(error), trip)
        return self._arrive(request, trip, code)

    def _arrive(self, request: HttpRequest, trip: RoundTrip, code: str) -> HttpResponse:
        try:
            with charged_by_address(EXCHANGE_BY_ADDRESS, request):
                pass  # the session holds all that could be malformed
            pair, _ = trade(request, code, trip.verifier, trip.state)
        except OtpRequired as refusal:
            entering.keep_code(request, trip, refusal.extra.get("code", ""))
            return redirect("/sign-in/code")
        except ApiError as refusal:
            failed = self._failed(request, sentence_of(refusal), trip, refusal.status_code)
            return with_headers(failed, request, refusal)
        return entering.arrive_by(request, trip, pair)

    def _failed(
        self, request: HttpRequest, sentence: str, trip: RoundTrip | None = None, status: int = 400
    ) -> HttpResponse:
        reference = request.GET.get("reference", "")
        return self.show(
            request,
            status=status,
            sentence=sentence,
            reference=reference if trip and REFERENCE.fullmatch(reference) else "",
            again=trip.again if trip else "",
            next=urlencode({"next": entering.destination(request)}),
        )

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return kwargs
