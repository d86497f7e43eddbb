"""Every request that this service sends to an identity provider: bounded in time and size, and never led elsewhere."""

import http.client
import json
import logging
import socket
import ssl
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from django.conf import settings
from rest_framework import status

from spatialflow.errors import ApiError

logger = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds for the whole exchange, however slowly its bytes drip
MAX_BYTES = 256 * 1024
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ProviderUnavailable(ApiError):
    """Down, slow, or answering with what no provider answers."""

    status_code = status.HTTP_502_BAD_GATEWAY
    default_detail = "The sign-in provider does not answer as it should; try again in a minute."
    default_code = "provider_unavailable"


@dataclass(frozen=True)
class Answer:
    """What a provider answered. A redirect is an answer like any other; it is not followed."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON. Raises `ProviderUnavailable` for an HTML page and the like."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ProviderUnavailable() from None


def fetch(method: str, url: str, form: dict[str, str] | None = None) -> Answer:
    """Send one request, with `form` as its body, and return the answer, whatever its status.

    No proxy, no cookie, no .netrc and no redirect has a part in it. Raises `ProviderUnavailable` when nothing readable
    came in time, and for a body beyond MAX_BYTES.
    """
    parts = urlsplit(url)
    connection = _connection(parts)
    headers = {"Accept": "application/json", "User-Agent": "spatialflow-auth"}
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    deadline = time.monotonic() + TIMEOUT
    try:
        connection.connect()
        with _cut_at(deadline, connection.sock):
            connection.request(method, target, None if form is None else urlencode(form), headers)
            # Closed here: one that ends with its connection has taken the socket over.
            with closing(connection.getresponse()) as response:
                body = response.read(MAX_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        logger.warning("no answer from %s: %s", parts.hostname, type(error).__name__)
        raise ProviderUnavailable() from None
    finally:
        connection.close()
    if len(body) > MAX_BYTES or time.monotonic() > deadline:
        logger.warning("an answer from %s was too large or too slow", parts.hostname)
        raise ProviderUnavailable()
    return Answer(response.status, body)


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    """Return the connection to a provider: https, or in development http to this machine."""
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=ssl.create_default_context())
    if parts.scheme == "http" and host in LOOPBACK and not settings.PRODUCTION:
        return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
    logger.error("the address of a provider at %s is not https", host)
    raise ProviderUnavailable()


class _cut_at:
    """End a socket's traffic at a moment: its own timeout begins anew with every byte."""

    def __init__(self, deadline: float, sock: socket.socket) -> None:
        # The plain shutdown, also below TLS, whose own would change the object that the other thread is reading from.
        self._timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._cut, [sock])
        self._timer.daemon = True

    @staticmethod
    def _cut(sock: socket.socket) -> None:
        try:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            return  # it ended by itself

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
