"""Step-up: before what a stolen session must not be able to do, whoever is there proves again who they are."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.scopes import ACCOUNT_READ
from accounts.second_factor import prove
from accounts.serializers.second_factor import BothFactorsSerializer, CurrentPasswordSerializer
from dashboard import session
from dashboard.pages import FormPage, own_path, validated
from dashboard.session import NotFresh, require_fresh

__all__ = ["ConfirmPage", "NotFresh", "require_fresh"]


class ConfirmPage(FormPage):
    """Take the password, and where the account has a second factor its code; then go on to `next`."""

    scopes = {"GET": ACCOUNT_READ, "POST": ACCOUNT_READ}
    template = "dashboard/confirm/confirm.html"
    title = "Confirm that it is you"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if session.is_fresh(request):
            return redirect(_next(request))
        return self.show(request)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        user = request.auth.get_user()
        return {
            "has_password": user.has_usable_password(),
            "has_second_factor": user.has_second_factor,
            "next": urlencode({"next": _next(request)}),
        }

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        has_second_factor = request.auth.get_user().has_second_factor
        serializer = BothFactorsSerializer if has_second_factor else CurrentPasswordSerializer
        prove(request, **validated(serializer, request.POST))
        session.freshen(request)
        return redirect(_next(request))


def _next(request: HttpRequest) -> str:
    return own_path(request.GET.get("next", "/"))
