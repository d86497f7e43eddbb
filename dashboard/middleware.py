"""Django's session, CSRF protection and messages, for pages alone: the API takes no cookie for a credential and pays
for none of this.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

API = "/api/"


class PageSessionMiddleware(SessionMiddleware):
    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request) if request.path.startswith(API) else super().__call__(request)


class PageMessageMiddleware(MessageMiddleware):
    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request) if request.path.startswith(API) else super().__call__(request)


class PageCsrfMiddleware(CsrfViewMiddleware):
    """A form of ours must carry our token and come from our origin: also the sign-in, so that nobody is signed in to a
    stranger's account unnoticed.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request) if request.path.startswith(API) else super().__call__(request)

    def process_view(
        self, request: HttpRequest, callback: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if request.path.startswith(API):
            return None
        return super().process_view(request, callback, args, kwargs)
