"""Forms and queries in: strict, because they come from browsers that another site has sent here."""

from typing import Any
from urllib.parse import parse_qsl

from rest_framework import exceptions, parsers

from spatialflow.strict_json import read_body

MAX_FIELDS = 50


class FormParser(parsers.BaseParser):
    """Read a form (application/x-www-form-urlencoded) as a plain dict: UTF-8, each name once, no NUL, at most 1 MiB."""

    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: dict[str, Any] | None = None) -> Any:
        return read_fields(read_body(stream))


def read_fields(encoded: bytes) -> dict[str, str]:
    """Return the fields of a form or query. Raises ParseError, also for a name that stands twice: which one counts?"""
    try:
        pairs = parse_qsl(encoded.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise exceptions.ParseError("The form is not valid UTF-8, or has too many fields.", "malformed_form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or any("\0" in text for pair in pairs for text in pair):
        raise exceptions.ParseError("The form names a field twice, or holds a NUL character.", "malformed_form")
    return fields
