"""The errors of the API and the one place that turns any exception into an answer.

Every error body is `{"detail": "<one sentence>", "error_code": "<stable word>"}`; field errors add `details`. Domain
code raises a subclass of `ApiError` that it defines itself; views do not build error responses. The same words serve
all causes that an attacker would like to tell apart.
"""

import logging
import sys
from typing import Any

from django.core.exceptions import (
    BadRequest,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from rest_framework import exceptions, serializers, status
from rest_framework.response import Response

logger = logging.getLogger(__name__)

FOREIGN_KEY_VIOLATION = "23503"  # SQLSTATE
READ_ONLY = "25006"  # SQLSTATE of a server that takes no writes: a standby, as after a failover


class ErrorSerializer(serializers.Serializer):
    """The shape of every error body, for the API's description."""

    detail = serializers.CharField()
    error_code = serializers.CharField()
    details = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), required=False)


class ApiError(exceptions.APIException):
    """An answer to the client: status, one sentence, a stable code, and where needed more members and headers."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = "The request cannot be carried out."
    default_code = "bad_request"

    def __init__(
        self,
        detail: str | None = None,
        code: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.headers = headers or {}
        self.extra = extra or {}


class NotFound(ApiError):
    """Absent, or somebody else's: the two answer alike."""

    status_code = status.HTTP_404_NOT_FOUND
    default_detail = "Not found."
    default_code = "not_found"


class Conflict(ApiError):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "The request conflicts with what is stored."
    default_code = "conflict"


class DeletedMeanwhile(Conflict):
    """A row that the request stands on was there when it began: another request deleted it."""

    default_detail = "What this request is about was deleted at the same moment. Look again before you repeat it."
    default_code = "deleted_meanwhile"


class PayloadTooLarge(ApiError):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large; send at most 1 MiB."
    default_code = "payload_too_large"


class Unavailable(ApiError):
    """A part the service stands on does not answer."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The service is temporarily unavailable; try again shortly."
    default_code = "unavailable"

    def __init__(self, detail: str | None = None, code: str | None = None) -> None:
        super().__init__(detail, code, headers={"Retry-After": "5"})


def is_outage(error: BaseException | None) -> bool:
    """Return whether an error says that the database is away, or that it may only be read at this moment."""
    return isinstance(error, OperationalError | InterfaceError) or _sqlstate(error) == READ_ONLY


def _sqlstate(error: BaseException | None) -> str | None:
    return getattr(getattr(error, "__cause__", None), "sqlstate", None)


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """Return the answer for anything raised in an API view; what nobody foresaw is logged and answered with a plain
    500. Where browsers are sent to a view (`answers_in_pages`), whoever prefers text/html gets a page.
    """
    response = _json_response(error, context)
    request = context["request"]._request if context.get("request") is not None else None
    if request is None or not getattr(context.get("view"), "answers_in_pages", False):
        return response
    if request.get_preferred_type(["application/json", "text/html"]) != "text/html":
        return response
    seen = {"status": response.status_code, "sentence": response.data["detail"]}
    page = loader.render_to_string("error.html", {**seen, "reference": response.data.get("reference", "")})
    answer = HttpResponse(page, status=response.status_code, headers=dict(response.headers))
    answer["Content-Type"] = "text/html; charset=utf-8"
    return answer


def _json_response(error: Exception, context: dict[str, Any]) -> Response:
    if isinstance(error, exceptions.ValidationError):
        return validation_response(error.detail)
    refusal = error if isinstance(error, exceptions.APIException) else _as_api_error(error, context)
    body = {"detail": _sentence(refusal), "error_code": _code(refusal), **getattr(refusal, "extra", {})}
    headers = dict(getattr(refusal, "headers", {}))
    if refusal.status_code == status.HTTP_401_UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="spatialflow"')
    return Response(body, status=refusal.status_code, headers=headers)


def _as_api_error(error: Exception, context: dict[str, Any]) -> exceptions.APIException:
    if isinstance(error, Http404):
        return NotFound()
    if isinstance(error, ObjectDoesNotExist):  # a row of the caller's own, there when the request was authenticated
        return DeletedMeanwhile()
    if isinstance(error, RequestDataTooBig):
        return PayloadTooLarge()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied("Insufficient permissions.", "insufficient_permissions")
    if isinstance(error, SuspiciousOperation | BadRequest):
        return ApiError("The request is malformed.", "malformed_request")
    view = type(context.get("view")).__name__
    if is_outage(error):
        logger.error("database unavailable in %s: %s", view, type(error).__name__)
        return Unavailable()
    if _sqlstate(error) == FOREIGN_KEY_VIOLATION:
        logger.warning("a row was deleted during %s", view)
        return DeletedMeanwhile()
    logger.error("unforeseen error in %s", view, exc_info=error)
    return exceptions.APIException("The service failed to answer this request; it has been logged.", "internal_error")


def validation_response(detail: Any) -> Response:
    """Return the 422 for field errors: one sentence for people, `details` (field -> messages) for programs."""
    details = _flatten(detail)
    field, messages = next(iter(details.items()))
    sentence = messages[0] if field == "body" else f"{field}: {messages[0]}"
    body = {"detail": sentence, "error_code": "validation_error", "details": details}
    return Response(body, status=status.HTTP_422_UNPROCESSABLE_ENTITY)


def _flatten(detail: Any, path: str = "") -> dict[str, list[str]]:
    if isinstance(detail, dict):
        flat: dict[str, list[str]] = {}
        for key, value in detail.items():
            name = path if key == "non_field_errors" else f"{path}.{key}" if path else str(key)
            flat.update(_flatten(value, name))
        return flat
    if isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        flat = {}
        for index, item in enumerate(detail):
            flat.update(_flatten(item, f"{path}.{index}" if path else str(index)))
        return flat
    messages = detail if isinstance(detail, list) else [detail]
    return {path or "body": [str(message) for message in messages]}


def _sentence(error: exceptions.APIException) -> str:
    return str(error.detail) if isinstance(error.detail, str) else str(error.default_detail)


def _code(error: exceptions.APIException) -> str:
    return str(error.get_codes()) if isinstance(error.detail, str) else str(error.default_code)


# Answers outside the views: Django calls these for unknown URLs, bad Host headers and crashes in middleware. Programs
# get JSON, people a page; a page for people must not need a database or a session, which may be what is broken.


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 404, "not_found", "There is nothing at this address.")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig):
        return _answer(request, 413, PayloadTooLarge.default_code, PayloadTooLarge.default_detail)
    return _answer(request, 400, "malformed_request", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 403, "insufficient_permissions", "Insufficient permissions.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a crash; a database that is away is none. Django calls this while the exception is being handled."""
    error = sys.exception()
    if is_outage(error):
        route = getattr(request.resolver_match, "route", "unmatched")  # no path, which may hold a secret
        logger.error("database unavailable for %s: %s", route, type(error).__name__)
        answer = _answer(request, 503, Unavailable.default_code, Unavailable.default_detail)
        answer["Retry-After"] = "5"
        answer._has_been_logged = True
        return answer
    return _answer(request, 500, "internal_error", "The service failed to answer this request; it has been logged.")


def form_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that another site sent, or that was open for longer than its cookie."""
    sentence = "This form is too old, or it was not sent from here. Go back, load the page again and send it again."
    return _answer(request, 403, "form_refused", sentence)


def _answer(request: HttpRequest, status_code: int, code: str, sentence: str) -> HttpResponse:
    headers = {"Cache-Control": "no-store"}
    if request.path == "/api" or request.path.startswith("/api/"):
        return JsonResponse({"detail": sentence, "error_code": code}, status=status_code, headers=headers)
    page = loader.render_to_string("error.html", {"status": status_code, "sentence": sentence})
    return HttpResponse(page, status=status_code, headers=headers)
