"""What a line of the log looks like, as JSON or as text. What authenticates is kept out of both, whoever writes it."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any
from uuid import UUID

import orjson

from spatialflow.quoted_rows import without_rows

logger = logging.getLogger(__name__)
request_id: ContextVar[str] = ContextVar("request_id", default="")  # of the request that this thread answers

# API keys and JWTs, whatever is glued to them; and what stands behind the name of a secret, as `name=value`,
# `"name": "value"` or `name: value`. A value without quotes ends at the first blank: of `password=two words`, `words`
# remains, since a line cannot tell where the value ends.
SECRETS = re.compile(
    r"""sf_[0-9A-Za-z]{8,}
      | eyJ[\w-]+(?:\.[\w-]*){1,4}
      | ((?:password|passwd|secret|token|code|verifier|samlresponse|relaystate|state
         |cookie|otp|bearer|authorization|x-api-key)
         ["']?\s*[=:]\s*(?:bearer\s+)?|bearer\s+)(?:"[^"]*"|'[^']*'|[^\s"'&,;]+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
# What moves the cursor or ends a line in a terminal or a collector, and halves of characters, which cannot be written.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
HARMLESS = frozenset({int, float, bool, type(None), UUID})


def redact(text: str) -> str:
    """Return `text` with every credential replaced."""
    return SECRETS.sub(lambda match: f"{match.group(1) or ''}[redacted]", text)


def on_one_line(text: str) -> str:
    """Return `text` with control characters escaped, so that no client can forge a log line."""
    return CONTROL_CHARACTERS.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


@lru_cache(maxsize=1024)  # the words of every request are few: routes, methods, kinds of credential
def _field(text: str) -> str:
    return on_one_line(redact(text))


class RefusalsOnOneLine(logging.Filter):
    """A handler's filter: what Django refuses of a client, such as a foreign Host header, is a warning without a
    traceback. Anybody can cause it, and it is no error of the service.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("django.security."):
            return True
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return logging.root.isEnabledFor(logging.WARNING)


class CrashesByRoute(logging.Filter):
    """The filter of the logger django.request, which names paths, and a path may hold a secret: what crashed is told by
    the pattern of its address. An answer 5xx that was meant has the line of its request, and no other.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        record.msg, record.args = "crashed: %s", (match.route if match else "unmatched",)
        return bool(record.exc_info)


class RedactSecrets(logging.Filter):
    """A handler's filter that redacts the formatted message, its arguments, its fields and its traceback; what an error
    of the database quotes of rows goes, too. Of fields numbers and ids pass as they are; whatever else is no text
    becomes one.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        errors = list(_errors_in(record))
        record.msg, record.args = on_one_line(redact(without_rows(record.getMessage(), errors))), None
        if fields := getattr(record, "fields", None):
            record.fields = {
                name: value if type(value) in HARMLESS else _field(without_rows(str(value), errors))
                for name, value in fields.items()
            }
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(without_rows(logging.Formatter().formatException(record.exc_info), errors))
        return True


def _errors_in(record: logging.LogRecord) -> Iterator[BaseException]:
    """Yield the exceptions that a line was given: to print, in its message, or as a field."""
    arguments = record.args.values() if isinstance(record.args, dict) else record.args or ()
    said = (record.msg, *arguments, *getattr(record, "fields", {}).values(), (record.exc_info or (None, None))[1])
    yield from (one for one in said if isinstance(one, BaseException))


def log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what ended a process, in place of Python's own traceback, which quotes rows. A hook for `sys.excepthook`."""
    if not issubclass(kind, Exception):  # such as Ctrl-C
        sys.__excepthook__(kind, error, trace)
        return
    logger.critical("crashed", exc_info=(kind, error, trace))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, request_id, and what the line says in `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get() or None,
            **getattr(record, "fields", {}),
        }
        if record.exc_text:
            line["exception"] = record.exc_text
        try:
            return orjson.dumps(line, default=str).decode()
        except orjson.JSONEncodeError:  # an integer beyond 64 bits, half a character: a line all the same
            return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message, and `name=value` for each of `fields` and the request's id."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s%(more)s")

    def format(self, record: logging.LogRecord) -> str:
        fields = {**getattr(record, "fields", {}), **({"request_id": request_id.get()} if request_id.get() else {})}
        record.more = "".join(f" {name}={value}" for name, value in fields.items())
        return super().format(record)
