"""Connections to the database that lay idle: what the server has ended in the meantime costs nobody an answer, and
what a thread leaves behind is closed.
"""

import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import connection, connections

from tests.support.cast import Actor
from tests.support.launch import Server
from tests.support.race import at_once, call

END_ALL_OTHERS = """
-- Returns when they are gone, not when they are told to go, which takes its time on a busy machine.
SELECT count(*), bool_and(pg_terminate_backend(pid, 20000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle'
"""


@pytest.mark.django_db(transaction=True)
def test_connections_that_the_server_has_ended_are_replaced_unnoticed(server: Server, alice: Actor):
    headers = {"X-API-KEY": alice.make_key()[1]}

    def ask(_: int) -> int:
        return call(server, "GET", "/api/v1/geofences", headers=headers).status

    assert Counter(at_once(16, ask)) == {200: 16}
    with connection.cursor() as cursor:
        cursor.execute(END_ALL_OTHERS)
        ended, are_gone = cursor.fetchone()
    assert ended >= 2 and are_gone

    assert Counter(at_once(32, ask)) == {200: 32}


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.django_db(transaction=True)
def test_a_thread_that_ends_leaves_no_connection_behind(no_garbage_collection: None):
    """A server's threads end after half a minute without work. Postgres has a hundred places in all."""
    opened: list[int] = []

    def work() -> None:
        for name in ("default", "counters"):
            connections[name].ensure_connection()
            opened.append(connections[name].connection.info.backend_pid)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert len(opened) == 2
    deadline = time.monotonic() + 5  # Postgres takes a moment to see that a client has gone
    while (left := _count_served(opened)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == 0


def _count_served(pids: list[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [pids])
        return cursor.fetchone()[0]
