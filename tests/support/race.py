"""Many callers at the same moment, each on a connection of its own."""

import http.client
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


def call(base_url: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """Send one request on a fresh connection."""
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        text = response.read()
        return Answer(
            response.status, {k.lower(): v for k, v in response.getheaders()}, json.loads(text) if text else None
        )
    finally:
        connection.close()


def at_once(count: int, act: Callable[[int], Outcome]) -> list[Outcome]:
    """Run `act(0) ... act(count - 1)` in as many threads, released together, and return what they return."""
    gate = threading.Barrier(count)

    def released(index: int) -> Outcome:
        gate.wait()
        return act(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(released, range(count)))
