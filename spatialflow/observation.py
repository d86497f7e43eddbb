"""What is noted of every request: an id that ties its lines together and is told to the client, one line in the log,
and its place in the metrics.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST

from spatialflow.log import request_id
from spatialflow.metrics import AUTHENTICATION_FAILURES, exposition, observe

access = logging.getLogger("spatialflow.access")

HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[0-9A-Za-z_-]{8,64}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES = frozenset({"api/v1/health", "api/v1/health/ready"})  # asked every few seconds: no lines while all is well
METRICS_PATH = "/metrics"


class ObservationMiddleware:
    """Give a request its id, and note its answer. The outermost middleware: nothing is answered outside it.

    The hottest requests pay for it: the line, which LOG_LEVEL=WARNING leaves out, costs more than all the rest.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.writes_lines = access.isEnabledFor(logging.INFO)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        identifier = _find_proxys_id(request) or secrets.token_hex(16)
        request_id.set(identifier)  # until this thread's next request: what Django logs after us belongs to this one
        response = self.get_response(request)
        response.headers[HEADER] = identifier
        seconds = time.perf_counter() - began
        method = request.method if request.method in METHODS else "other"
        route, status = _route(request), response.status_code
        observe(method, route, status, seconds)
        if status == 401:
            AUTHENTICATION_FAILURES.labels(_reason(response)).inc()
        if self.writes_lines and not (route in PROBES and status == 200):
            access.info("request", extra={"fields": _fields(request, method, route, status, seconds)})
        return response


def _find_proxys_id(request: HttpRequest) -> str | None:
    """Return the id that a proxy of ours gave the request. Anybody else could give two requests one id."""
    claimed = request.META.get("HTTP_X_REQUEST_ID")
    return claimed if claimed and settings.TRUSTED_PROXY_COUNT and WELL_FORMED.fullmatch(claimed) else None


def _route(request: HttpRequest) -> str:
    """Return the pattern of the address and not the address: what a client put into that may be a secret."""
    match = request.resolver_match
    if match is not None:
        return str(match.route) or "/"
    if request.path_info == METRICS_PATH:
        return "metrics"
    return "static" if request.path_info.startswith(settings.STATIC_URL) else "unmatched"


def _reason(response: HttpResponseBase) -> str:
    """Return the stable word in the body of a 401; a page has none."""
    body = getattr(response, "data", None)
    return str(body["error_code"]) if isinstance(body, dict) and "error_code" in body else "page"


def _fields(request: HttpRequest, method: str, route: str, status: int, seconds: float) -> dict[str, Any]:
    fields: dict[str, Any] = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2)}
    principal = getattr(request, "auth", None)
    if principal is None:
        return fields | {"credential": "none"}
    fields["credential"] = principal.credential
    fields["credential_id"] = principal.credential_id
    fields["workspace_id"] = principal.workspace_id
    return fields


class MetricsMiddleware:
    """Answer Prometheus before anything judges the request: it asks by an address of the machine, which need not
    be among ALLOWED_HOSTS. To whoever lacks METRICS_TOKEN, and without one, the page is not there.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info != METRICS_PATH or not _is_prometheus(request):
            return self.get_response(request)
        return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _is_prometheus(request: HttpRequest) -> bool:
    scheme, _, sent = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    is_bearer = scheme.lower() == "bearer"  # RFC 9110, section 11.1: in any case
    return bool(settings.METRICS_TOKEN) and is_bearer and constant_time_compare(sent.strip(" "), settings.METRICS_TOKEN)
