"""JSON in and out of the API: strict when reading, fast when writing."""

from typing import Any

import orjson
from django.conf import settings
from rest_framework import exceptions, parsers, renderers, status
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from spatialflow.errors import ApiError, PayloadTooLarge

MAX_DEPTH = 64


class AlwaysFirstRenderer(BaseContentNegotiation):
    """Answer JSON whatever `Accept` says: the clients of this API read nothing else, and a 406 helps nobody."""

    def select_parser(self, request: Request, parsers: list[Any]) -> Any:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(self, request: Request, renderers: list[Any], format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class JSONParser(parsers.BaseParser):
    """Read a JSON body strictly: UTF-8, at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes, no NaN, no NUL (which Postgres
    cannot store).
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: dict[str, Any] | None = None) -> Any:
        body = read_body(stream)
        return read_strictly(body) if body.strip() else {}


def read_strictly(body: bytes, name: str = "The body") -> Any:
    """Return what JSON holds. `name` begins the sentence of a refusal. Raises `ParseError` for what is none, NaN and
    NUL among it, or nests too deep."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise exceptions.ParseError(f"{name} is not valid JSON in UTF-8.", "malformed_json") from None
    if b"\\u0000" in body and _holds_nul(data):
        raise exceptions.ParseError(f"{name} holds a NUL character, which cannot be stored.", "malformed_json")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deeper_than(data, MAX_DEPTH):
        raise exceptions.ParseError(f"{name} is nested deeper than {MAX_DEPTH} levels.", "malformed_json")
    return data


class LengthRequired(ApiError):
    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_detail = "Send the body with a Content-Length; chunked bodies are not read."
    default_code = "length_required"


def refuse_body_without_length(request: Request) -> None:
    """Raise `LengthRequired` for a chunked body, which WSGI would otherwise show as an empty one."""
    if "HTTP_TRANSFER_ENCODING" in request.META:
        raise LengthRequired()


def read_body(stream: Any) -> bytes:
    """Return the request's body. Raises PayloadTooLarge when more than the allowed bytes are announced or read."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    meta = getattr(stream, "META", {})
    announced = meta.get("CONTENT_LENGTH") or "0"
    if announced.isdigit() and int(announced) > limit:
        raise PayloadTooLarge()
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise PayloadTooLarge()
    return body


def _is_deeper_than(data: Any, levels: int) -> bool:
    """Return whether lists and objects nest deeper than that, so that nothing behind runs into Python's stack limit."""
    layer = [data]
    for _ in range(levels):
        containers = [value for value in layer if isinstance(value, dict | list)]
        if not containers:
            return False
        layer = [item for value in containers for item in (value.values() if isinstance(value, dict) else value)]
    return any(isinstance(value, dict | list) for value in layer)


def _holds_nul(data: Any) -> bool:
    pending = [data]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            if "\0" in value:
                return True
        elif isinstance(value, dict):
            pending += value.keys()
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return False


class JSONRenderer(renderers.BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, media_type: str | None = None, context: dict[str, Any] | None = None) -> bytes:
        if data is None:
            return b""
        return orjson.dumps(data, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
