"""What is asked of the service and of its peers: one job for each row of the table, from the credentials that their
seeds made.

The limits are never lifted. Every request is within them because there are enough keys, sign-ins and email addresses to
take turns, and because everybody has an address of their own: each target trusts one proxy here, and this load
generator plays it.
"""

import itertools
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from bench.load import Job
from bench.peers.fences import PASSWORD

HEALTH = "health, no credential"
KEY = "API key, page of 20 geofences"
JWT = "JWT, page of 20 geofences"
REFRESH = "refresh"
LOGIN = "login"
ONE_LOGIN = "login, one at a time"


@dataclass(frozen=True)
class Dialect:
    """Where and how a target is asked. Without a `refresh` it has none."""

    page: str
    login: str
    refresh: str
    health: str = ""
    key_header: str = "X-API-KEY"
    key_prefix: str = ""
    email_field: str = "email"
    refresh_field: str = "refresh_token"


OURS = Dialect(
    page="/api/v1/geofences", login="/api/v1/auth/login", refresh="/api/v1/auth/refresh", health="/api/v1/health"
)


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
    """Logins of many people in turn, each at an address of their own, where they have been before."""

    def __init__(self, dialect: Dialect, emails: list[str]) -> None:
        self.turn = itertools.cycle(
            http_request(
                "POST",
                dialect.login,
                {"X-Forwarded-For": home(number)},
                json.dumps({dialect.email_field: email, "password": PASSWORD}).encode(),
            )
            for number, email in enumerate(emails)
        )

    def request(self) -> tuple[bytes, None]:
        return next(self.turn), None

    def answered(self, ticket: None, body: bytes) -> None:
        pass


class Refreshes:
    """Refreshes of many sign-ins in turn, from where their people are: each sends the token that its last refresh
    answered.
    """

    def __init__(self, dialect: Dialect, tokens: list[str], homes: list[str]) -> None:
        self.path = dialect.refresh
        self.field = f'"{dialect.refresh_field}":"'.encode()
        self.waiting = deque((token.encode(), at) for token, at in zip(tokens, homes, strict=True))

    def request(self) -> tuple[bytes, str]:
        token, at = self.waiting.popleft()
        return http_request("POST", self.path, {"X-Forwarded-For": at}, b'{%b%b"}' % (self.field, token)), at

    def answered(self, ticket: str, body: bytes) -> None:
        start = body.index(self.field) + len(self.field)
        self.waiting.append((body[start : body.index(b'"', start)], ticket))


def home(number: int) -> str:
    """Return the address that a person signs in from; everybody's lies in a network of its own."""
    return f"10.{number >> 8}.{number & 255}.1"


def jobs(credentials: dict[str, Any], dialect: Dialect) -> dict[str, Job]:
    """Return the jobs in the order in which they are measured."""
    keys = [{dialect.key_header: f"{dialect.key_prefix}{key}"} for key in credentials["keys"]]
    tokens = [{"Authorization": f"Bearer {token}"} for token in credentials["access_tokens"]]
    found: dict[str, Job] = {HEALTH: Reads(dialect.health, [{}])} if dialect.health else {}
    found |= {KEY: Reads(dialect.page, keys), JWT: Reads(dialect.page, tokens)}
    if dialect.refresh:
        found[REFRESH] = Refreshes(dialect, credentials["refresh_tokens"], credentials["homes"])
    logins = Logins(dialect, credentials["emails"])
    return {**found, LOGIN: logins, ONE_LOGIN: logins}
