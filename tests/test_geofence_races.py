"""Archiving, deleting and bringing back one fence at the same moment: they take turns, and every one of them counts."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from geofences.models import Geofence, GeofenceTotal
from tests.support.cast import Actor
from tests.support.fences import URL, store_fence
from tests.support.launch import Server
from tests.support.race import Answer, at_once, call, waiting_behind

real = pytest.mark.django_db(transaction=True)


def act(server: Server, actor: Actor, fence_id: str, method: str, path: str = "", body: Any = None) -> Answer:
    return call(server, method, f"{URL}/{fence_id}{path}", body, {"Authorization": f"Bearer {actor.pair.access_token}"})


@real
def test_those_who_wait_for_one_fence_act_in_turn_and_time_goes_on(server: Server, alice: Actor) -> None:
    fence_id = store_fence(alice)["id"]

    with waiting_behind(Geofence.objects.get(pk=fence_id)) as begin:
        archived = begin(act, server, alice, fence_id, "POST", "/archive")
        again = begin(act, server, alice, fence_id, "POST", "/archive")
        restored = begin(act, server, alice, fence_id, "PUT", "", {"is_active": True})
        # Of a host whose clock is ahead.
        held_until = timezone.now() + timedelta(minutes=1)
        Geofence.objects.filter(pk=fence_id).update(updated_at=held_until)

    assert [answer.result(30).status for answer in (archived, again, restored)] == [200, 200, 200]
    fence = Geofence.objects.get(pk=fence_id)
    assert (fence.archived, fence.is_active) == (True, True)
    assert fence.updated_at >= held_until


@real
def test_a_change_is_as_late_as_what_it_waited_for(server: Server, alice: Actor) -> None:
    fence_id = store_fence(alice)["id"]

    with waiting_behind(Geofence.objects.get(pk=fence_id)) as begin:
        waiting = [
            begin(act, server, alice, fence_id, *call_)
            for call_ in (("POST", "/archive"), ("DELETE",), ("PUT", "", {"description": "Gate 3"}))
        ]
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            (let_go_at,) = cursor.fetchone()

    assert [answer.result(30).status for answer in waiting] == [200, 204, 200]
    assert let_go_at < Geofence.objects.get(pk=fence_id).updated_at


@real
def test_totals_stay_true_whoever_is_first(server: Server, alice: Actor) -> None:
    ids = [store_fence(alice, name)["id"] for name in "ab"]
    acts = [("POST", "/archive"), ("POST", "/unarchive"), ("DELETE",), ("PUT", "", {"is_active": True})]

    answers = at_once(16, lambda number: act(server, alice, ids[number % 2], *acts[number // 2 % 4]))

    assert {answer.status for answer in answers} <= {200, 204}
    states = list(Geofence.objects.values_list("is_active", "archived"))
    kept = GeofenceTotal.objects.get(workspace=alice.workspace)
    assert [kept.active, kept.active_archived, kept.inactive, kept.inactive_archived] == [
        states.count(state) for state in ((True, False), (True, True), (False, False), (False, True))
    ]
