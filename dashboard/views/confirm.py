"""Step-up: before what a stolen session must not be able to do, whoever is there proves again who they are.

They do so by their password and second factor, or by signing in anew at a provider. The sign-in of that round trip only
proves: it ends at once, and the one that was there goes on.

A form that was sent too late for the last proof comes along: it stands unseen in the page that asks, without passwords
and codes, and is sent where it was meant to go as soon as its person has confirmed. The server keeps nothing of it.
"""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.scopes import SIGN_IN_OWN
from accounts.second_factor import prove
from accounts.serializers.second_factor import BothFactorsSerializer, CurrentPasswordSerializer
from dashboard import entering, session
from dashboard.drawn_in import FIELD
from dashboard.pages import FormPage, Page, own_path, validated
from spatialflow.errors import NotFound
from sso.identities import proofs_of

CARRIES = "carries"
OURS = {CARRIES, "csrfmiddlewaretoken"}
SECRET = ("password", "otp")  # words in the names of fields that never stand in a page


class ConfirmPage(FormPage):
    """Take the password, and where the account has a second factor its code; then go on to `next`."""

    scopes = {"GET": SIGN_IN_OWN, "POST": SIGN_IN_OWN}
    template = "dashboard/confirm/confirm.html"
    title = "Confirm that it is you"
    acts_anywhere = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if session.is_fresh(request):
            return redirect(_next(request))
        return self.show(request)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "typed" not in request.GET:
            return super().post(request, *args, **kwargs)
        return _go_on(request) if session.is_fresh(request) else self.show(request)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        is_carrying = _is_carrying(request)
        return {
            "proofs": proofs_of(request.auth),
            "next": urlencode({"next": _next(request)}),
            "carried": _carried(request) if is_carrying else [],
            "is_carrying": is_carrying,
            "has_files": bool(request.FILES),
            "after_elsewhere": urlencode({"next": "/confirm/done" if is_carrying else _next(request)}),
        }

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        proofs = proofs_of(request.auth)
        if not proofs.password:
            raise NotFound()
        serializer = BothFactorsSerializer if proofs.second_factor else CurrentPasswordSerializer
        prove(request, **validated(serializer, request.POST))
        session.freshen(request)
        return _go_on(request)


class ConfirmedPage(Page):
    """Say that the proof counts, in the tab that the provider led back to; the form waits in another one."""

    scopes = {"GET": SIGN_IN_OWN}
    template = "dashboard/confirm/done.html"
    title = "You have confirmed that it is you"


class ConfirmElsewherePage(Page):
    """Send the person to sign in anew at Google, Apple or their workspace's identity provider, whichever is theirs.

    A link and no form: browsers do not let a form lead to another site by redirects (CSP, form-action). Raises
    `NotFound` for a way that they do not have.
    """

    scopes = {"GET": SIGN_IN_OWN}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        proofs, way = proofs_of(request.auth), request.GET.get("way", "")
        if way == "workspace" and proofs.workspace_slug:
            begin = f"/sign-in/by/{proofs.workspace_slug}"
        elif way in {provider.name for provider in proofs.providers}:
            begin = f"/sign-in/with/{way}"
        else:
            raise NotFound()
        entering.start_confirming(request, _next(request))
        return redirect(begin)


def _is_carrying(request: HttpRequest) -> bool:
    return request.method == "POST" and ("typed" in request.GET or CARRIES in request.POST)


def _carried(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the fields of the form that comes along, but for those that are secret, and ours."""
    return [
        (name, value)
        for name, values in request.POST.lists()
        if name not in OURS and not any(word in name for word in SECRET)
        for value in (values[-1:] if name == FIELD else values)  # the page that asks says where it was drawn, too
    ]


def _go_on(request: HttpRequest) -> HttpResponse:
    """Go to the page that asked for the proof; a form that comes along is sent there."""
    return redirect(_next(request), preserve_request=_is_carrying(request))


def _next(request: HttpRequest) -> str:
    return own_path(request.GET.get("next", "/"))
