"""What is asked of the service: one job for each row of the table, from the credentials that bench/seed.py made.

The limits are never lifted. Every request is within them because there are enough keys, sign-ins and email addresses to
take turns, and because login and refresh come from a new address each time: the service trusts one proxy here, and this
load generator plays it.
"""

import itertools
import json
from collections import deque
from collections.abc import Iterator
from typing import Any

from bench.load import Job

REFRESH_TOKEN = b'"refresh_token":"'


def http_request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return a request's bytes, ready to send."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: bench"]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Reads:
    """GET requests, prepared and sent in turn."""

    def __init__(self, path: str, credentials: list[dict[str, str]]) -> None:
        self.turn = itertools.cycle([http_request("GET", path, headers) for headers in credentials])

    def request(self) -> tuple[bytes, None]:
        return next(self.turn), None

    def answered(self, ticket: None, body: bytes) -> None:
        pass


class Logins:
    """Logins of many people, each from a new address."""

    def __init__(self, emails: list[str], password: str, addresses: Iterator[str]) -> None:
        self.bodies = itertools.cycle(json.dumps({"email": email, "password": password}).encode() for email in emails)
        self.addresses = addresses

    def request(self) -> tuple[bytes, None]:
        headers = {"X-Forwarded-For": next(self.addresses)}
        return http_request("POST", "/api/v1/auth/login", headers, next(self.bodies)), None

    def answered(self, ticket: None, body: bytes) -> None:
        pass


class Refreshes:
    """Refreshes of many sign-ins in turn: each sends the token that its last refresh answered."""

    def __init__(self, tokens: list[str], addresses: Iterator[str]) -> None:
        self.waiting = deque(token.encode() for token in tokens)
        self.addresses = addresses

    def request(self) -> tuple[bytes, None]:
        body = b'{"refresh_token":"%b"}' % self.waiting.popleft()
        return http_request("POST", "/api/v1/auth/refresh", {"X-Forwarded-For": next(self.addresses)}, body), None

    def answered(self, ticket: None, body: bytes) -> None:
        start = body.index(REFRESH_TOKEN) + len(REFRESH_TOKEN)
        self.waiting.append(body[start : body.index(b'"', start)])


def jobs(credentials: dict[str, Any]) -> dict[str, Job]:
    """Return the jobs in the order in which they are measured."""
    addresses = (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in itertools.count(1))
    page = "/api/v1/geofences"
    return {
        "health, no credential": Reads("/api/v1/health", [{}]),
        "API key, page of 20 geofences": Reads(page, [{"X-API-KEY": key} for key in credentials["keys"]]),
        "JWT, page of 20 geofences": Reads(
            page, [{"Authorization": f"Bearer {token}"} for token in credentials["access_tokens"]]
        ),
        "refresh": Refreshes(credentials["refresh_tokens"], addresses),
        "login": Logins(credentials["emails"], credentials["password"], addresses),
    }
