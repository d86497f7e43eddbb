"""How many exports there may be at once, and what readers who stall cost everybody else."""

import gc
import signal
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

from accounts.models import AuditEvent
from geofences.models import Geofence
from geofences.turns import EXPORT_SLOTS, LOCK_EXPORT_SLOT, LOCK_EXPORTING
from tests.support.cast import Actor
from tests.support.fence_files import EXPORT, export
from tests.support.fences import URL, store_row
from tests.support.launch import Server
from tests.support.race import call

LARGE = 16 * 1024  # bytes of a fence's metadata
MANY = 1_000  # so large fences are more than the buffers of two sockets hold


def test_a_workspace_exports_one_file_at_a_time_and_all_together_two(
    alice: Actor, mallory: Actor, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        take(other, LOCK_EXPORTING, alice.workspace.pk.int % 2**31)
        refused = alice.client.get(EXPORT)
        assert b"features" in export(mallory.client)
        other.rollback()
        for slot in range(EXPORT_SLOTS):
            take(other, LOCK_EXPORT_SLOT, slot)
        busy = alice.client.get(EXPORT)
        other.rollback()

    assert (refused.status_code, refused.json()["error_code"]) == (409, "export_under_way")
    assert (busy.status_code, busy.json()["error_code"]) == (503, "exports_busy")
    assert int(busy["Retry-After"]) > 0 and int(refused["Retry-After"]) > 0
    assert not AuditEvent.objects.filter(action="geofence.exported", workspace_id=alice.workspace.pk).exists()
    assert b"features" in export(alice.client)
    assert locks_held() == 0


@pytest.mark.django_db(transaction=True)
def test_an_export_holds_its_turn_until_it_ends_or_nobody_reads_on(alice: Actor, mallory: Actor) -> None:
    for number in range(100):
        store_row(alice, str(number), metadata={"a": "x" * LARGE})

    begun = alice.client.get(EXPORT)
    next(begun.streaming_content)
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        bound = cursor.fetchone()[0]
    while_it_lasts = mallory.client.get(EXPORT)
    begun.close()

    assert bound == "2min"
    assert (while_it_lasts.status_code, while_it_lasts.json()["error_code"]) == (503, "exports_busy")
    assert locks_held() == 0
    assert b"features" in export(mallory.client)


@pytest.mark.django_db(transaction=True)
def test_an_export_forgotten_by_everybody_may_be_collected_in_the_middle_of_a_statement(alice: Actor) -> None:
    answer = alice.client.get(EXPORT)
    assert answer.status_code == 200
    forgotten: list[Any] = [answer]
    forgotten.append(forgotten)
    del answer, forgotten
    assert connection.connection is not None

    def collect(notice: psycopg.errors.Diagnostic) -> None:
        collected.append(gc.collect())

    def give_up(number: int, frame: Any) -> None:
        raise AssertionError("The connection waits for itself.")

    collected: list[int] = []
    before = signal.signal(signal.SIGALRM, give_up)
    connection.connection.add_notice_handler(collect)
    try:
        signal.alarm(10)
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE NOTICE 'collect now'; END $$")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        connection.connection.remove_notice_handler(collect)

    assert collected
    assert collected[0] > 0
    assert b"FeatureCollection" in export(alice.client)


@pytest.mark.django_db(transaction=True)
def test_a_second_export_of_a_workspace_is_told_so_by_every_process(alice: Actor, server: Server) -> None:
    key = alice.make_key()[1]
    fence = store_row(alice, "0", metadata={"a": "x" * LARGE})
    Geofence.objects.bulk_create(copy_of(fence, number) for number in range(1, MANY))

    stalled = ask_and_read_nothing(server, key)
    try:
        deadline = time.monotonic() + 10
        while not locks_held() and time.monotonic() < deadline:
            time.sleep(0.05)
        others = [call(server, "GET", EXPORT, headers={"X-API-KEY": key}) for _ in range(8)]
    finally:
        stalled.close()

    assert {(answer.status, answer.body["error_code"]) for answer in others} == {(409, "export_under_way")}


@pytest.mark.django_db(transaction=True)
def test_readers_who_stall_leave_threads_to_everybody_else(alice: Actor, mallory: Actor, server: Server) -> None:
    actors = (alice, mallory)
    keys = {actor.user.pk: actor.make_key()[1] for actor in actors}
    for actor in actors:
        fence = store_row(actor, "0", metadata={"a": "x" * LARGE})
        Geofence.objects.bulk_create(copy_of(fence, number) for number in range(1, MANY))

    stalled = [ask_and_read_nothing(server, keys[actors[number % 2].user.pk]) for number in range(12)]
    try:
        time.sleep(1)
        began = time.monotonic()
        answers = [call(server, "GET", f"{URL}?limit=1", headers={"X-API-KEY": keys[alice.user.pk]}) for _ in range(20)]
        took = time.monotonic() - began
        held = locks_held()
        refused = call(server, "GET", EXPORT, headers={"X-API-KEY": keys[alice.user.pk]})
    finally:
        for client in stalled:
            client.close()

    assert {answer.status for answer in answers} == {200}
    assert took < 10
    assert 2 <= held <= 2 * EXPORT_SLOTS
    assert refused.status in (409, 503) and int(refused.headers["retry-after"]) > 0
    deadline = time.monotonic() + 20
    while locks_held() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert locks_held() == 0
    assert call(server, "GET", EXPORT, headers={"X-API-KEY": keys[alice.user.pk]}).status == 200


def copy_of(fence: Geofence, number: int) -> Geofence:
    values = {field.attname: getattr(fence, field.attname) for field in Geofence._meta.concrete_fields}
    return Geofence(**{**values, "id": Geofence().id, "name": str(number), "geometry_digest": str(number).encode()})


def ask_and_read_nothing(server: Server, key: str) -> socket.socket:
    """Return a connection that asked for an export and leaves the answer where it is."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", urlsplit(server).port))
    client.sendall(f"GET {EXPORT} HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {key}\r\n\r\n".encode())
    return client


def take(other: psycopg.Connection[Any], lock: int, number: int) -> None:
    """Hold what an export under way in another process holds."""
    assert other.execute("SELECT pg_try_advisory_xact_lock(%s::int, %s::int)", [lock, number]).fetchone() == (True,)


def locks_held() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid::int IN (%s, %s)",
            [LOCK_EXPORTING, LOCK_EXPORT_SLOT],
        )
        return int(cursor.fetchone()[0])
