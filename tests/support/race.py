"""Many callers at the same moment, each on a connection of its own."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.db import connection, transaction
from django.db.models import Model

from tests.support.launch import source

Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


def call(
    base_url: str,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    caller: str = "127.0.0.1",
) -> Answer:
    """Send one request on a fresh connection; `caller` is the address of this machine that it comes from."""
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30, source_address=source(caller))
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


@contextmanager
def waiting_behind(row: Model) -> Iterator[Callable[..., Future[Answer]]]:
    """Lock a row for as long as this lasts, and give a function that starts a request and returns once that waits for a
    lock: those that wait for one row get it in the order in which they came.
    """
    with ThreadPoolExecutor(4) as pool, transaction.atomic():
        type(row)._default_manager.select_for_update().get(pk=row.pk)
        yield partial(start_to_wait, pool)


def start_to_wait(pool: ThreadPoolExecutor, act: Callable[..., Answer], *arguments: Any) -> Future[Answer]:
    """Start a request that has to wait for this transaction's end, and return once it waits."""
    before, deadline = _count_waiting(), time.monotonic() + 10
    begun = pool.submit(act, *arguments)
    while _count_waiting() == before and not begun.done() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not begun.done(), begun.result()
    return begun


def _count_waiting() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction goes on seeing what it has seen
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])
