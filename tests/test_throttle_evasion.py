"""However a request is written, it counts against the same limit of a live server."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.support.cast import Actor
from tests.support.launch import Server

pytestmark = pytest.mark.django_db(transaction=True)
LIMIT = 3
FENCES = "/api/v1/geofences"
SPELLINGS = [
    FENCES,
    f"{FENCES}/",
    f"{FENCES}?again=1",
    f"{FENCES}?",
    "/api/v1/%67eofences",
    "/%61pi/v1/geofences%2F",
    "http://127.0.0.1/api/v1/geofences",
]
HEADERS = [
    "X-Forwarded-For: 198.51.100.7",
    "X-HTTP-Method-Override: HEAD",
    "X-Original-URL: /api/v1/health",
    "X-Rewrite-URL: /api/v1/health",
    "Cookie: a=b",
    "User-Agent: another\r\nUser-Agent: one more",
]
# What no address of ours can be written as: nothing is there, so nothing is got by it.
NOWHERE = [
    "/api/v1//geofences",
    "//api/v1/geofences",
    "/api/v1/geofences//",
    "/api/v1/./geofences",
    "/api/v1/x/../geofences",
    "/API/v1/geofences",
    "/api/v1/geofences%2F%2F",
    "/api/v1/geofences;x=1",
]


def written(path: str, header: str, *, version: str = "1.1", more: str = "", close: bool = True) -> bytes:
    """Return the bytes of a request for `path`; `header` is the line with the credential."""
    lines = [f"GET {path} HTTP/{version}", "Host: 127.0.0.1", header, more, "Connection: close" if close else ""]
    return "\r\n".join([*filter(None, lines), "", ""]).encode()


def statuses(server: Server, text: bytes) -> list[int]:
    """Send these bytes on one connection until the server closes it, and return the status of each answer."""
    address = urlsplit(server)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as connection:
        connection.sendall(text)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    return [int(part.split(b" ", 2)[1]) for part in answers.split(b"HTTP/1.")[1:]]


@pytest.fixture
def raw(alice: Actor) -> str:
    """A key that may ask three times an hour."""
    return alice.make_key(hourly_limit=LIMIT)[1]


def exhaust(server: Server, raw: str) -> None:
    for _ in range(LIMIT):
        assert statuses(server, written(FENCES, f"X-API-KEY: {raw}")) == [200]


def test_no_spelling_of_an_address_has_a_limit_of_its_own(server: Server, raw: str) -> None:
    exhaust(server, raw)

    for path in SPELLINGS:
        for version in ("1.0", "1.1"):
            told = statuses(server, written(path, f"X-API-KEY: {raw}", version=version))
            assert (path, version, told) == (path, version, [429])


def test_no_spelling_of_the_header_does(server: Server, raw: str) -> None:
    exhaust(server, raw)

    for name in ("x-api-key", "X-Api-Key", "X-API-KEY", "x-API-kEy"):
        for space in (" ", "", "   "):
            told = statuses(server, written(FENCES, f"{name}:{space}{raw}{space}"))
            assert (name, space, told) == (name, space, [429])


def test_no_other_header_does(server: Server, raw: str) -> None:
    exhaust(server, raw)

    for more in HEADERS:
        assert (more, statuses(server, written(FENCES, f"X-API-KEY: {raw}", more=more))) == (more, [429])


def test_a_header_sent_twice_gets_nothing(server: Server, raw: str) -> None:
    exhaust(server, raw)

    for name in ("X-API-KEY", "x-api-key"):
        for value in (raw, "sf_nonsense", ""):
            [status] = statuses(server, written(FENCES, f"X-API-KEY: {raw}", more=f"{name}: {value}"))
            assert status in (400, 401, 429)


def test_other_addresses_lead_nowhere(server: Server, raw: str) -> None:
    exhaust(server, raw)

    for path in NOWHERE:
        [status] = statuses(server, written(path, f"X-API-KEY: {raw}"))
        assert (path, status in (400, 404, 429)) == (path, True)


def test_pipelined_requests_count_one_by_one(server: Server, raw: str) -> None:
    pipeline = written(FENCES, f"X-API-KEY: {raw}", close=False) * 5 + written(FENCES, f"X-API-KEY: {raw}")

    assert statuses(server, pipeline) == [200] * LIMIT + [429] * 3


def test_pipelined_logins_count_one_by_one(server: Server, alice: Actor) -> None:
    body = json.dumps({"email": "nobody-pipelined@acme.test", "password": "not this one"})
    head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    one = f"{head}Content-Length: {len(body)}\r\n\r\n{body}"
    last = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"

    told = statuses(server, (one * 32 + last).encode())

    assert len(told) == 33 and set(told) == {401, 429}
    assert told.count(401) <= 30  # two windows of 15, where a minute ends between them
