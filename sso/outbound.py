"""Every request that this service sends to an identity provider: bounded in time and size, and never led elsewhere."""

import http.client
import ipaddress
import json
import logging
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from django.conf import settings
from rest_framework import status

from spatialflow.errors import ApiError

logger = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds for the whole exchange, however slowly its bytes drip
MAX_BYTES = 256 * 1024
MAX_DOCUMENT_BYTES = 1024 * 1024
# Forms of IPv6 that carry an address of IPv4, which may be a private one: mapped, compatible, NAT64, Teredo, 6to4.
CARRYING_IPV4 = [
    ipaddress.IPv6Network(text)
    for text in ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
]
# What a provider says that does not take this service: its client id, its key, its redirect URI or what it asks for.
REFUSALS_OF_THE_SERVICE = frozenset(
    {
        *("invalid_client", "unauthorized_client", "disabled_client", "deleted_client", "org_internal"),
        *("redirect_uri_mismatch", "invalid_redirect_uri", "invalid_request", "invalid_scope"),
        *("unsupported_grant_type", "unsupported_response_type"),
    }
)
ERROR_WORD = re.compile(r"[a-z_]{1,40}")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# So many threads of this process may wait for somebody else's server at once; the others go on serving everybody.
_places = threading.BoundedSemaphore(max(1, settings.BLOCKING_THREADS // 2))
_this_thread = threading.local()
SECONDS_OF_SILENCE = 60.0
_saying = threading.Lock()
_said = {"busy": -math.inf}  # when this process has last logged it, by its monotonic clock


class ProviderUnavailable(ApiError):
    """Down, slow, or answering with what no provider answers."""

    status_code = status.HTTP_502_BAD_GATEWAY
    default_detail = "The sign-in provider does not answer as it should; try again in a minute."
    default_code = "provider_unavailable"


class ServiceRefused(ProviderUnavailable):
    """The provider does not know us by these settings: its operator finds the reason in the log."""

    default_detail = "The sign-in provider refused this service. Its operator has to check the settings."
    default_code = "provider_refused_service"


class ProvidersBusy(ApiError):
    """As many requests as may wait for providers do: better one is sent away than nobody is served."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "Too many sign-ins are waiting for their provider at the moment; try again in a few seconds."
    default_code = "provider_busy"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(int(TIMEOUT))})


class DocumentNotReadable(ApiError):
    """What a workspace's owner named cannot be fetched; the sentence says why, and nothing of what is inside of our
    network: a name that is not there and one that leads inside are told alike.
    """

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "The document at this address cannot be fetched."
    default_code = "metadata_not_readable"


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

    def error_word(self) -> str:
        """Return the error that it names (RFC 6749 section 5.2), for the log and to judge it by; empty where there is
        no such word.
        """
        try:
            said = json.loads(self.body)
        except (ValueError, RecursionError):
            return ""
        word = said.get("error") if isinstance(said, dict) else None
        return word if isinstance(word, str) and ERROR_WORD.fullmatch(word) else ""


@contextmanager
def place_to_wait() -> Iterator[None]:
    """Hold one of the places for waiting; a thread that holds one needs no other. Raises `ProvidersBusy`, at once,
    where all are taken.
    """
    if getattr(_this_thread, "has_a_place", False):
        yield
        return
    if not _places.acquire(blocking=False):
        _say_that_all_wait()
        raise ProvidersBusy()
    _this_thread.has_a_place = True
    try:
        yield
    finally:
        _this_thread.has_a_place = False
        _places.release()


def _say_that_all_wait() -> None:
    """Log it once a minute at most: whoever comes meanwhile is sent away without a line."""
    now = time.monotonic()
    with _saying:
        if now < _said["busy"] + SECONDS_OF_SILENCE:
            return
        _said["busy"] = now
    logger.warning("requests are sent away: %s wait for providers already", max(1, settings.BLOCKING_THREADS // 2))


def fetch(method: str, url: str, form: dict[str, str] | None = None) -> Answer:
    """Send one request, with `form` as its body, and return the answer, whatever its status.

    No proxy, no cookie, no .netrc and no redirect has a part in it. Raises `ProviderUnavailable` when nothing readable
    came in time, and for a body beyond MAX_BYTES; `ProvidersBusy`.
    """
    with place_to_wait():
        return fetch_in_background(method, url, form)


def fetch_in_background(method: str, url: str, form: dict[str, str] | None = None) -> Answer:
    """Do as `fetch` where no request waits for it, and so whatever else is waiting."""
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


def fetch_document(url: str) -> bytes:
    """Return the document at an https address that a workspace's owner named: at most 1 MiB, within TIMEOUT.

    The host's name is resolved once. Each of its addresses must be public, or inside IDENTITY_PROVIDER_NETWORKS, and
    the connection goes to an address that was looked at; the certificate is checked by name. No redirect is followed,
    and no proxy has a part in it. Raises `DocumentNotReadable`, `ProvidersBusy`.
    """
    with place_to_wait():
        return _fetch_document(url)


def refuse_unreachable(url: str) -> None:
    """Raise what `fetch_document` raises for an address that it would not ask; only the DNS is asked now."""
    with place_to_wait():
        _read_address(url, time.monotonic() + TIMEOUT)


def _fetch_document(url: str) -> bytes:
    deadline = time.monotonic() + TIMEOUT
    parts, addresses = _read_address(url, deadline)
    host, port = parts.hostname or "", parts.port or 443
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        answer = _get(host, port, addresses, target, deadline)
    except ssl.SSLCertVerificationError:
        raise DocumentNotReadable(f"The certificate of {host} does not hold for that name.") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        logger.warning("no document from %s: %s", host, type(error).__name__)
        raise DocumentNotReadable(f"{host} does not answer in time as a web server with TLS should.") from None
    return _judged(host, answer, deadline)


def _read_address(url: str, deadline: float) -> tuple[SplitResult, list[str]]:
    """Return the parts of an owner's https address, and where its host is. Raises `DocumentNotReadable`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise DocumentNotReadable("This is not an address; send one that begins with https://.") from None
    if parts.scheme != "https" or not host or parts.username is not None or not url.isascii():
        raise DocumentNotReadable("Send an address that begins with https://, without a user name in it.")
    return parts, _addresses(host, port, deadline)


def _judged(host: str, answer: Answer, deadline: float) -> bytes:
    if 300 <= answer.status < 400:
        raise DocumentNotReadable(f"{host} answers with a redirect, which is not followed. Send the address behind it.")
    if answer.status != status.HTTP_200_OK:
        raise DocumentNotReadable(f"{host} answers with the status {answer.status} instead of the document.")
    if len(answer.body) > MAX_DOCUMENT_BYTES:
        raise DocumentNotReadable("The document is larger than 1 MiB.")
    if time.monotonic() > deadline:
        raise DocumentNotReadable(f"{host} takes more than {TIMEOUT:g} seconds to answer.")
    return answer.body


def _addresses(host: str, port: int, deadline: float) -> list[str]:
    """Return every address of a host, all of which may be connected to. Raises `DocumentNotReadable`."""
    found: list[str] = []

    def resolve() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.extend(str(answer[4][0]) for answer in answers)

    # The resolver has no limit of time of its own that we could set.
    resolver = threading.Thread(target=resolve, daemon=True)
    resolver.start()
    resolver.join(max(0.0, deadline - time.monotonic()))
    addresses = list(dict.fromkeys(found))
    if not addresses or not all(_may_be_asked(address) for address in addresses):
        raise DocumentNotReadable(f"{host} leads to no public address, or to one that may not be asked.")
    return addresses


def _may_be_asked(text: str) -> bool:
    """Return whether a request may go to this address: it is public, or the operator has listed its network."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # with a zone: an address of one link
        return False
    if any(address in network for network in settings.IDENTITY_PROVIDER_NETWORKS):
        return True
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in CARRYING_IPV4):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _get(host: str, port: int, addresses: list[str], target: str, deadline: float) -> Answer:
    """Send the request to the first of the addresses that takes the connection."""
    connection = http.client.HTTPSConnection(host, port)
    sock = _connect(addresses, port, deadline)
    try:
        # The handshake comes later: its bytes can drip as well.
        sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        with _cut_at(deadline, sock):
            sock.do_handshake()
            connection.sock = sock
            headers = {"Accept": "application/samlmetadata+xml, application/xml", "User-Agent": "spatialflow-auth"}
            connection.request("GET", target, headers=headers)
            with closing(connection.getresponse()) as response:
                return Answer(response.status, response.read(MAX_DOCUMENT_BYTES + 1))
    finally:
        sock.close()


def _connect(addresses: list[str], port: int, deadline: float) -> socket.socket:
    failure: OSError = TimeoutError()
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, port), timeout=left)
        except OSError as error:
            failure = error
    raise failure


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
