"""CORS for who needs it: answers to web pages of other origins, which browsers mark by `Origin`."""

from corsheaders.middleware import CorsMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers


class OriginMiddleware(CorsMiddleware):
    """Let programs, whose requests name no origin, pass without reading the rules for pages twice a request."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "HTTP_ORIGIN" in request.META:
            return super().__call__(request)
        response = self.get_response(request)
        if self.is_enabled(request):
            patch_vary_headers(response, ("origin",))
        return response

    def check_preflight(self, request: HttpRequest) -> HttpResponseBase | None:
        """Return the answer to a preflight, which a browser keeps by its own `Access-Control-Max-Age`; else None."""
        response = super().check_preflight(request)
        if response is not None:
            response.headers["Cache-Control"] = "no-store"
        return response
