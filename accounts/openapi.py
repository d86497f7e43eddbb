"""How the API describes itself (OpenAPI 3): what every operation has in common is derived here from the view's own
words.

What is particular to an operation stands at the view, in `extend_schema`. tests/test_openapi.py tries the description
against the running service.
"""

from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema

from accounts.authentication import RefreshCookieAuthentication
from accounts.scopes import CURRENT_KEY_READ, KEY_SCOPES, KEYS_ALONE
from spatialflow.api import PublicAPIView
from spatialflow.errors import ErrorSerializer
from spatialflow.texts import NOT_BLANK, VISIBLE, refuse_invisible
from spatialflow.throttling import ThrottledSerializer

API_KEY: dict[str, list[str]] = {"ApiKey": []}
BEARER: dict[str, list[str]] = {"Bearer": []}
REFRESH_COOKIE: dict[str, list[str]] = {"RefreshCookie": []}
# What is judged by spatialflow/texts.py, and of names that stand in one line by accounts/serializers/workspaces.py.
SEEN = "[" + "".join(rf"\p{{{category}}}" for category in VISIBLE) + "]"
BLANK_OR_SEEN = rf"^\s*$|{SEEN}"
ONE_LINE = r"[^\u0000-\u001f\u007f\u2028\u2029]*"
SEEN_IN_ONE_LINE = f"^{ONE_LINE}{SEEN}{ONE_LINE}$"
LIMIT_HEADERS = {
    "RateLimit-Limit": "Requests in the window of the tightest limit that applies.",
    "RateLimit-Remaining": "Requests left in it.",
    "RateLimit-Reset": "Seconds until it ends.",
}


class TextSchema(OpenApiSerializerFieldExtension):
    """What a text must hold, where Python alone would say it: something, once it is trimmed, or something to see."""

    target_class = "spatialflow.strict_fields.OnlyText"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        field = self.target
        schema: dict[str, Any] = auto_schema._map_serializer_field(field, direction, bypass_extensions=True)
        patterns = [rule.regex.pattern for rule in field.validators if isinstance(rule, RegexValidator)]
        if refuse_invisible in field.validators:
            schema["pattern"] = BLANK_OR_SEEN if field.allow_blank else SEEN_IN_ONE_LINE if patterns else SEEN
        elif not field.allow_blank and field.trim_whitespace and not patterns:
            schema["pattern"] = NOT_BLANK
        return schema if field.allow_blank else {"minLength": 1, **schema}


class OperationSchema(AutoSchema):
    """One operation: its credentials from `scopes`, its errors from what the view takes."""

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").split("/")[0]]

    def get_auth(self) -> list[dict[str, Any]]:
        if isinstance(self.view, PublicAPIView):
            return [{}, BEARER] if self.view.authentication_classes else [{}]
        scope = self.view.scopes[self.method]
        if RefreshCookieAuthentication in self.view.authentication_classes:
            return [BEARER, REFRESH_COOKIE]
        if scope in KEYS_ALONE | {CURRENT_KEY_READ}:
            return [API_KEY]
        return [API_KEY, BEARER] if scope in KEY_SCOPES else [BEARER]

    def get_description(self) -> str:
        text = " ".join((type(self.view).__doc__ or "").split())
        scope = getattr(self.view, "scopes", {}).get(self.method)
        return f"{text} Needs the scope `{scope}`." if scope else text

    def get_operation(self, *args: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args)
        if operation is None:
            return None
        responses = operation["responses"]
        for status, serializer in self._errors(operation).items():
            responses.setdefault(status, self._get_response_for_code(serializer, status))
        if not self.view.rate_limit_exempt:
            for response in responses.values():
                response["headers"] = {
                    name: {"description": text, "schema": {"type": "integer"}} for name, text in LIMIT_HEADERS.items()
                }
            retry = {"description": "Seconds after which the request passes.", "schema": {"type": "integer"}}
            responses["429"]["headers"]["Retry-After"] = retry
        return operation

    def _errors(self, operation: dict[str, Any]) -> dict[str, Any]:
        errors: dict[str, Any] = {"400": ErrorSerializer, "411": ErrorSerializer, "503": ErrorSerializer}
        if not isinstance(self.view, PublicAPIView):
            errors |= {"401": ErrorSerializer, "403": ErrorSerializer}
        if "{" in self.path:
            errors["404"] = ErrorSerializer
        if "requestBody" in operation:
            errors |= {"413": ErrorSerializer, "415": ErrorSerializer, "422": ErrorSerializer}
        if any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
            errors["422"] = ErrorSerializer
        if not self.view.rate_limit_exempt:
            errors["429"] = ThrottledSerializer
        return errors


def sort_responses(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Put each operation's answers in the order of their status, for a description that diffs well."""
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return result
