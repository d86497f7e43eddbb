"""What the pages before the sign-in share: they are for everybody, at the one address that cookies and providers know,
and where single sign-on is required they lead to it.
"""

from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect

from accounts.sso_requirement import SsoRequired
from dashboard import entering
from dashboard.pages import FormPage
from spatialflow.errors import ApiError

ONLY_SHOWN = ("get", "head", "options")  # the methods of a page that has no form; others are refused with 405


class LinkIncomplete(ApiError):
    default_detail = "This link is incomplete. Open it from the mail again, or copy the whole of it."
    default_code = "link_incomplete"


class EntrancePage(FormPage):
    """A page with a form for whoever is not signed in. `carry_out` does what `submit` does elsewhere.

    A page asked for at another host name goes to PUBLIC_URL first: a cookie of here would be missing on the way back
    from a provider.
    """

    is_public = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "GET" and _host_of(request) != urlsplit(settings.PUBLIC_URL).hostname:
            return redirect(settings.PUBLIC_URL + request.get_full_path())
        request.data = self.sent(request)
        return super().dispatch(request, *args, **kwargs)

    def sent(self, request: HttpRequest) -> Any:
        """Return the form as the API's functions read it."""
        return request.POST

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            return self.carry_out(request, **kwargs)
        except SsoRequired as refusal:
            return redirect(f"/sign-in/sso/{refusal.extra['workspace_slug']}")

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        raise NotImplementedError


class LinkPage(EntrancePage):
    """Where a mailed link leads. What it carries (`parameters`) goes into the session at once and out of the address;
    opening it changes nothing, for mail scanners open links, too.
    """

    parameters: ClassVar[tuple[str, ...]] = ("token",)

    def sent(self, request: HttpRequest) -> Any:
        return {**request.POST.dict(), **(entering.find_link(request, request.path) or {})}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        carried = {name: request.GET.get(name, "") for name in self.parameters}
        if all(0 < len(value) <= entering.LONGEST_SECRET for value in carried.values()):
            entering.keep_link(request, carried)
            return redirect(request.path)
        if entering.find_link(request, request.path) is None:
            raise LinkIncomplete()
        return self.show(request, **kwargs)


def _host_of(request: HttpRequest) -> str | None:
    return urlsplit(f"//{request.get_host()}").hostname
