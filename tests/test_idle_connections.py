"""Connections to the database that lay idle: what the server has ended in the meantime costs nobody an answer."""

from collections import Counter

import pytest
from django.db import connection

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
