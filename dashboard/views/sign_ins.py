"""Settings / Sign-ins: where a person is signed in, and ending that."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import sessions
from accounts.acceptance import BY_INVITATION
from accounts.devices import in_words
from accounts.scopes import ACCOUNT_OWN, ACCOUNT_READ, ACCOUNT_WRITE
from accounts.sso_requirement import BY_RECOVERY, BY_SAML
from dashboard import session
from dashboard.pages import FormPage

PLACE = "/settings/sign-ins"
METHODS = {
    "password": "Password",
    "google": "Google",
    "apple": "Apple",
    BY_SAML: "Single sign-on",
    BY_RECOVERY: "Recovery link",
    BY_INVITATION: "Invitation",
}


class SignInsPage(FormPage):
    """List the person's own sign-ins, the one used last first; end one of them."""

    scopes = {"GET": ACCOUNT_READ, "POST": ACCOUNT_OWN}
    template = "dashboard/sign_ins/list.html"
    title = "Sign-ins"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        own = sessions.list_own(request)
        rows = [
            {
                "sign_in": sign_in,
                "device": in_words(sign_in.user_agent),
                "method": METHODS.get(sign_in.method, sign_in.method),
                "is_current": sign_in.id == request.auth.credential_id,
            }
            for sign_in in own.sessions
        ]
        return {"rows": rows, "total": own.total, "may_end": ACCOUNT_OWN in request.auth.scopes}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        sessions.end(request, request.POST.get("session_id", ""))
        messages.success(request, "The sign-in has ended. That device is signed out.")
        return redirect(PLACE)


class EndOthersPage(FormPage):
    """Ask whether, and end all of the person's sign-ins but this one."""

    scopes = {"GET": ACCOUNT_OWN, "POST": ACCOUNT_OWN}
    template = "dashboard/sign_ins/end_others.html"
    title = "End all other sign-ins"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        ended = sessions.end_others(request)
        messages.success(request, f"{ended} other sign-in{'' if ended == 1 else 's'} ended. You stay signed in here.")
        return redirect(PLACE)


class SignOutEverywherePage(FormPage):
    """Ask whether, and end all of the person's sign-ins, this one too."""

    scopes = {"GET": ACCOUNT_WRITE, "POST": ACCOUNT_WRITE}
    template = "dashboard/sign_ins/everywhere.html"
    title = "Sign out everywhere"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        sessions.sign_out(request)
        session.end(request)
        messages.success(request, "You are signed out everywhere.")
        return redirect("/sign-in")
