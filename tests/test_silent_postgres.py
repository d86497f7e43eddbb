"""A Postgres that is silent behind what still takes connections: a second host that refuses, a pooler."""

import socket
import struct
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from spatialflow.postgres.watched import ServerIsSilent, WatchedConnection

SSL_OR_GSS = (80877103, 80877104)
SAID = {"server_version": "18.0", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
SAID |= {"in_hot_standby": "off", "default_transaction_read_only": "off"}  # else libpq would ask, and wait
READY = b"".join(
    kind + struct.pack("!i", len(body) + 4) + body
    for kind, body in [
        (b"R", struct.pack("!i", 0)),
        *((b"S", f"{name}\0{value}\0".encode()) for name, value in SAID.items()),
        (b"Z", b"I"),
    ]
)


AT_ONCE = 0.5  # seconds: to ask takes its patience


class Impatient(WatchedConnection):
    """The same in less time, with a memory of its own."""

    patience = 0.6
    answers_within = 1
    pause = 1


@pytest.fixture(autouse=True)
def nothing_is_known() -> None:
    Impatient._silent_until = 0.0


@pytest.fixture
def frozen() -> Iterator[int]:
    """The port of a server that stands still: the system takes connections for it, and nobody reads them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture
def pooler() -> Iterator[int]:
    """The port of a pooler that lets everybody in, as pgbouncer does by what it remembers of its server, and passes
    nothing on: the server behind it stands still.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients: list[socket.socket] = []

        def let_in() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:  # the test is over
                    return
                clients.append(client)
                while struct.unpack("!ii", client.recv(4096)[:8])[1] in SSL_OR_GSS:
                    client.sendall(b"N")
                client.sendall(READY)

        threading.Thread(target=let_in, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        for client in clients:
            client.close()


def seconds_until(error: type[Exception], parameters: dict[str, object]) -> float:
    began = time.monotonic()
    with pytest.raises(error):
        Impatient.open(parameters)
    return time.monotonic() - began


@pytest.mark.django_db
def test_a_standby_that_refuses_does_not_let_the_silence_of_the_other_host_be_forgotten(frozen: int):
    ours = connection.get_connection_params()
    standby = {**ours, "options": "-c default_transaction_read_only=on", "target_session_attrs": "read-write"}
    both = {**standby, "host": f"127.0.0.1,{ours['host']}", "port": f"{frozen},{ours.get('port', 5432)}"}
    both["connect_timeout"] = 2

    assert seconds_until(psycopg.OperationalError, standby) < 1 and not Impatient.is_known_silent()  # it speaks
    assert seconds_until(psycopg.OperationalError, both) >= 2  # somebody has to find out
    assert seconds_until(ServerIsSilent, both) < AT_ONCE


def test_behind_a_pooler_a_silent_server_is_found_out_and_stays_so(pooler: int):
    parameters = {"host": "127.0.0.1", "port": pooler, "user": "x", "dbname": "x", "target_session_attrs": "read-write"}
    with Impatient.open(parameters) as before:
        began = time.monotonic()
        with pytest.raises(ServerIsSilent):
            before.execute("SELECT 1")

        assert time.monotonic() - began < 5
        assert seconds_until(ServerIsSilent, parameters) < AT_ONCE
        time.sleep(Impatient.pause)
        assert AT_ONCE < seconds_until(ServerIsSilent, parameters) < 4  # that it takes a connection is no answer
        assert seconds_until(ServerIsSilent, parameters) < AT_ONCE
