"""What every API view shares: the order of checks, and the two base classes.

The order is: authentication, general limits, permission. A caller without a valid credential is charged by address
before the 401, and whoever lacks a permission is charged like anybody else. Where `has_general_limits`, authentication
may have counted the caller already; the limits then judge by that. Limits of single endpoints are asked in their views.
"""

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework import serializers, views
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from spatialflow.errors import NotFound
from spatialflow.strict_json import AlwaysFirstRenderer, refuse_body_without_length

# HEAD is safe (RFC 9110 section 9.2.1): link checkers and previews send it unasked. Where a GET acts, it is refused.
WITHOUT_HEAD = ["get", "post", "put", "patch", "delete"]


class SlashlessPathMiddleware:
    """Let both spellings of an API path reach the same view, without a redirect that would lose a body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith("/api/") and path.endswith("/") and not path.endswith("//"):
            request.path_info = path[:-1]
        return self.get_response(request)


class RawJSONResponse(HttpResponse):
    """Pass JSON bytes, for instance a page built by Postgres, through: nothing is left to render."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__(body, status=status, content_type="application/json")


def read_id(text: str) -> uuid.UUID:
    """Return the id in a path. Raises `NotFound` for anything but its one spelling: nothing can be there."""
    try:
        identifier = uuid.UUID(text)
    except ValueError:
        raise NotFound() from None
    if str(identifier) != text.lower():
        raise NotFound()
    return identifier


class APIView(views.APIView):
    """The base of both kinds of view: order of checks, headers of limits, caching.

    A view whose GET begins, ends or records something sets `http_method_names` to WITHOUT_HEAD.
    """

    http_method_names = [*WITHOUT_HEAD, "head"]
    content_negotiation_class = AlwaysFirstRenderer
    format_kwarg = None
    # True for what must answer a machine at any rate: health, keys, documents.
    rate_limit_exempt: ClassVar[bool] = False

    @property
    def has_general_limits(self) -> bool:
        """Whether every request is charged, so that the statement that finds a credential may count it, too."""
        return bool(self.throttle_classes) and not self.rate_limit_exempt

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        refuse_body_without_length(request)
        try:
            self.perform_authentication(request)
        except APIException:
            self.check_throttles(request)  # guessing is limited as well
            raise
        self.check_throttles(request)
        self.check_permissions(request)

    def check_throttles(self, request: Request) -> None:
        """Charge the general limits in order. Raises `Throttled` at the first exceeded; the later ones are not
        charged.
        """
        if not self.rate_limit_exempt:
            for throttle in self.get_throttles():
                throttle.allow_request(request, self)

    def check_permissions(self, request: Request) -> None:
        for permission in self.get_permissions():
            permission.has_permission(request, self)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().finalize_response(request, response, *args, **kwargs)
        for name, value in getattr(request, "rate_limit_headers", {}).items():
            response.setdefault(name, value)
        response.setdefault("Cache-Control", "no-store")
        return response


class HealthSerializer(serializers.Serializer):
    status = serializers.CharField()
    service = serializers.CharField()


class PublicAPIView(APIView):
    """A view that needs no credential and looks at none; a 401 of its own is still a proper 401."""

    authentication_classes: ClassVar[list[type]] = []
    permission_classes: ClassVar[list[type]] = []


class WorkspaceAPIView(APIView):
    """A view for an authenticated caller, inside the workspace of `request.auth`.

    `scopes` names for each method the scope it needs. A view that forgets one does not load: nothing is reachable by
    omission.
    """

    scopes: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        handled = {name.upper() for name in cls.http_method_names if name != "head" and hasattr(cls, name)}
        if missing := handled - cls.scopes.keys():
            raise ImproperlyConfigured(
                f"{cls.__module__}.{cls.__name__} declares no scope for {', '.join(sorted(missing))}."
            )
