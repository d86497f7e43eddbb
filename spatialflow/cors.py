"""CORS for who needs it: answers to web pages of other origins, which browsers mark by `Origin`."""

from corsheaders.middleware import CorsMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers


class OriginMiddleware(CorsMiddleware):
    """Let programs, whose requests name no origin, pass without reading the rules for pages twice a request."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "HTTP_ORIGIN" in request.META:
            response = super().__call__(request)
            if request.method == "OPTIONS":  # a preflight gets here no further; browsers keep it by its own max age
                response.headers.setdefault("Cache-Control", "no-store")
            return response
        response = self.get_response(request)
        if self.is_enabled(request):
            patch_vary_headers(response, ("origin",))
        return response
