"""Django's session, CSRF protection and messages, for pages alone: the API takes no cookie for a credential and pays
for none of this.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

MACHINES = ("/api/", "/.well-known/")  # what is for them, and no page
FROM_HERE = {"same-origin", "none"}  # what browsers say in Sec-Fetch-Site of our own forms


def is_from_here(request: HttpRequest) -> bool:
    """Return whether a person came by a page of ours or by themselves, and not by a link of another site. Browsers
    without Sec-Fetch-Site name the page before in Referer, ours only to ourselves.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in FROM_HERE
    referrer = request.headers.get("Referer", "")
    return not referrer or urlsplit(referrer).netloc == request.get_host()


class PageSessionMiddleware(SessionMiddleware):
    """Nothing about whoever is signed in is kept by a browser or a proxy, not even where a redirect leads."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(MACHINES):
            return self.get_response(request)
        response = super().__call__(request)
        response["Cache-Control"] = "no-store"
        return response


class PageMessageMiddleware(MessageMiddleware):
    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request) if request.path.startswith(MACHINES) else super().__call__(request)


class PageCsrfMiddleware(CsrfViewMiddleware):
    """A form of ours must carry our token and come from our origin: also the sign-in, so that nobody is signed in to a
    stranger's account unnoticed.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request) if request.path.startswith(MACHINES) else super().__call__(request)

    def process_view(
        self, request: HttpRequest, callback: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if request.path.startswith(MACHINES):
            return None
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "none") not in FROM_HERE:
            return self._reject(request, "The browser says that the form stands on another site.")
        return super().process_view(request, callback, args, kwargs)

    def _origin_verified(self, request: HttpRequest) -> bool:
        """Return whether a form comes from here. Under our Referrer-Policy browsers name no origin even to ourselves
        ("null"); that it is the same one then stands in Sec-Fetch-Site, which no page can write.
        """
        if request.META["HTTP_ORIGIN"] == "null":
            return request.headers.get("Sec-Fetch-Site") == "same-origin"
        return bool(super()._origin_verified(request))
