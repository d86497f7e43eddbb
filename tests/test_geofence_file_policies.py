"""What an import does with repetitions, what a dry run tells, which limits there are, and what the trail keeps."""

import io
import json
import logging
import time
from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.models import AuditEvent
from geofences.models import Geofence
from geofences.turns import EXPORT_SLOTS, LOCK_EXPORT_SLOT, LOCK_SLOT, LOCK_WORKSPACE, SLOTS
from tests.support.cast import Actor
from tests.support.fence_files import EXPORT, GEOJSON, IMPORT, collection, counts, export, feature, only_fence, send
from tests.support.fences import CIRCLE, URL, store_fence

# --- Duplicates and dry runs


def test_skip_leaves_repetitions_out(alice: Actor, mallory: Actor) -> None:
    store_fence(alice, "stored")
    store_fence(mallory, "elsewhere")
    body = collection(
        feature("stored"),
        feature("elsewhere"),
        feature("new"),
        feature("new"),
        feature("stored", CIRCLE | {"bbox": None}),
    )

    answer = send(alice.client, body[:-1] + b', "more": [1]}', on_error="skip")

    assert counts(answer) == (5, 3, 2, 0)
    assert answer.json()["duplicate_indexes"] == [0, 3]
    again = send(alice.client, body)
    assert (again.status_code, counts(again)) == (200, (5, 0, 5, 0))


def test_deleted_and_archived_fences_are_no_duplicates_and_have_none(alice: Actor) -> None:
    store_fence(alice, "stored")
    alice.client.delete(f"{URL}/{only_fence(alice)['id']}")

    answer = send(
        alice.client,
        collection(feature("stored"), feature("stored", archived=True), feature("stored", is_active=False)),
    )

    assert counts(answer) == (3, 3, 0, 0)
    assert alice.client.get(URL).json()["total_count"] == 1
    assert alice.client.get(URL, {"active_only": "false", "include_archived": "true"}).json()["total_count"] == 4


def test_override_makes_repetitions_all_the_same(alice: Actor) -> None:
    body = collection(feature(), feature())

    assert counts(send(alice.client, body, dedup_strategy="override")) == (2, 2, 0, 0)
    assert counts(send(alice.client, body, dedup_strategy="override")) == (2, 2, 0, 0)
    assert Geofence.objects.count() == 4


def test_fail_refuses_all_before_anything_is_made(alice: Actor) -> None:
    store_fence(alice, "Yard")

    refused = send(alice.client, collection(feature("new"), feature()), dedup_strategy="fail")

    assert (refused.status_code, refused.json()["error_code"]) == (409, "duplicate_geofence")
    assert refused.json()["duplicate_indexes"] == [1]
    assert Geofence.objects.count() == 1
    assert counts(send(alice.client, collection(feature("new")), dedup_strategy="fail")) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (4, 0, 1, 1)),
        ({"on_error": "skip"}, (4, 2, 1, 1)),
        ({"on_error": "skip", "dedup_strategy": "override"}, (4, 3, 0, 1)),
        ({"on_error": "skip", "dedup_strategy": "fail"}, (4, 0, 1, 1)),
    ],
)
def test_a_dry_run_tells_what_would_happen_and_makes_nothing(
    alice: Actor, query: dict[str, str], expected: tuple[int, ...]
) -> None:
    body = collection(feature("a"), feature("a"), feature("b"), feature(None))

    answer = send(alice.client, body, dry_run="true", **query)

    assert (answer.status_code, answer.json()["dry_run"], counts(answer)) == (200, True, expected)
    assert len(answer.json()["errors"]) == 1
    assert not Geofence.objects.exists()
    assert not AuditEvent.objects.filter(action="geofence.imported").exists()


def test_reports_end_after_a_thousand(alice: Actor) -> None:
    answer = send(alice.client, collection(*[feature(None)] * 1_001, *[feature("same")] * 1_003), on_error="skip")

    assert counts(answer) == (2_004, 1, 1_002, 1_001)
    body = answer.json()
    assert (len(body["errors"]), len(body["duplicate_indexes"]), body["truncated"]) == (1_000, 1_000, True)


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        ("dry_run", "dry_run", "Must be true or false."),
        ("dry_run=", "dry_run", "Must be true or false."),
        ("dry_run=yes", "dry_run", "Must be true or false."),
        ("dry_run=true&dry_run=false", "dry_run", "Give it once."),
        ("dry-run=true", "dry-run", "There is no such parameter; there are dedup_strategy, dry_run, format, "),
        ("DRY_RUN=true", "DRY_RUN", "There is no such parameter; there are "),
        ("on_error=", "on_error", '"" is not a valid choice.'),
        ("radius_meters=", "radius_meters", "A valid number is required."),
        ("radius_meters=1_000", "radius_meters", "Write a number in the digits 0 to 9."),
        ("radius_meters=%D9%A1%D9%A2", "radius_meters", "Write a number in the digits 0 to 9."),
    ],
)
def test_what_an_import_does_not_understand_it_refuses(alice: Actor, query: str, name: str, message: str) -> None:
    refused = alice.client.generic("POST", f"{IMPORT}?{query}", collection(feature()), content_type=GEOJSON)

    assert (refused.status_code, list(refused.json()["details"])) == (422, [name])
    assert refused.json()["details"][name][0].startswith(message)
    assert not Geofence.objects.exists()


@pytest.mark.parametrize(("word", "stored"), [("true", 0), ("1", 0), ("TRUE", 0), ("false", 1), ("0", 1)])
def test_how_a_dry_run_is_asked_for(alice: Actor, word: str, stored: int) -> None:
    assert send(alice.client, collection(feature()), dry_run=word).json()["dry_run"] is (stored == 0)
    assert Geofence.objects.count() == stored


@pytest.mark.parametrize(
    "query", ["limit=5", "offset=5", "tag=north", "format=kml&format=gpx", "active_only=false&active_only=true"]
)
def test_what_an_export_does_not_understand_it_refuses(alice: Actor, query: str) -> None:
    refused = alice.client.get(f"{EXPORT}?{query}")

    assert (refused.status_code, list(refused.json()["details"])) == (422, [query.partition("=")[0]])
    assert b"features" in export(alice.client, tags=["north", "south"], active_only="false", include_archived="1")


# --- Limits and traces


def test_a_plan_bounds_the_features_of_one_import(alice: Actor, settings: Any) -> None:
    settings.PLAN_IMPORT_FEATURES = {**settings.PLAN_IMPORT_FEATURES, alice.workspace.plan: 2}

    refused = send(alice.client, collection(feature("a"), feature("b"), feature("c")))

    assert (refused.status_code, refused.json()["error_code"]) == (413, "too_many_features")
    assert not Geofence.objects.exists()
    assert counts(send(alice.client, collection(feature("a"), feature("b")))) == (2, 2, 0, 0)


def test_a_body_of_more_than_64_mib_is_refused_before_it_is_read(alice: Actor) -> None:
    refused = alice.client.generic(
        "POST", IMPORT, b"{}", content_type=GEOJSON, CONTENT_LENGTH=str(64 * 1024 * 1024 + 1)
    )

    assert (refused.status_code, refused.json()["error_code"]) == (413, "payload_too_large")
    assert "64 MiB" in refused.json()["detail"]


@pytest.mark.parametrize(("credential", "allowed"), [("token", 10), ("key", 60)])
def test_imports_have_a_limit_of_their_own(alice: Actor, credential: str, allowed: int) -> None:
    client = alice.client if credential == "token" else alice.key_client()

    codes = [send(client, b"").status_code for _ in range(allowed + 1)]

    assert codes == [400] * allowed + [429]
    assert client.get(URL).status_code == 200


def test_the_trail_keeps_what_was_imported_and_exported(alice: Actor) -> None:
    send(alice.client, collection(feature(), feature(), feature(None)), on_error="skip")
    imported = AuditEvent.objects.latest("sequence")
    export(alice.client, format="kml", tags="north")
    exported = AuditEvent.objects.latest("sequence")

    assert (imported.action, imported.actor_id) == ("geofence.imported", alice.user.pk)
    assert imported.status_code == 201
    assert imported.description == "Created 1 geofences of 3 features of a file."
    assert imported.changes.pop("duration_ms") >= 0
    assert imported.changes == {
        "features": 3, "created": 1, "duplicates": 1, "refused": 1,
        "format": "geojson", "dedup_strategy": "skip", "skips_refused": True,
    }  # fmt: skip
    assert (exported.action, exported.changes) == (
        "geofence.exported",
        {"format": "kml", "states": ["active"], "tags": ["north"]},
    )


def test_nobody_imports_or_exports_across_workspaces(alice: Actor, mallory: Actor) -> None:
    send(alice.client, collection(feature()))

    assert json.loads(export(mallory.client))["features"] == []
    assert mallory.client.get(URL).json()["total_count"] == 0
    assert len(json.loads(export(alice.client))["features"]) == 1


def test_a_workspace_imports_one_file_at_a_time_and_all_together_two(
    alice: Actor, mallory: Actor, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        take(other, LOCK_WORKSPACE, alice.workspace.pk.int % 2**31)
        refused = send(alice.client, collection(feature()))
        other.rollback()
        for slot in range(SLOTS):
            take(other, LOCK_SLOT, slot)
        busy = send(alice.client, collection(feature()))
        other.rollback()

        assert (refused.status_code, refused.json()["error_code"]) == (409, "import_under_way")
        assert int(refused["Retry-After"]) > 0
        assert (busy.status_code, busy.json()["error_code"]) == (503, "imports_busy")
        assert int(busy["Retry-After"]) > 0
        take(other, LOCK_WORKSPACE, alice.workspace.pk.int % 2**31)
        assert counts(send(mallory.client, collection(feature()))) == (1, 1, 0, 0)
        other.rollback()
        assert counts(send(alice.client, collection(feature()))) == (1, 1, 0, 0)


def test_that_all_slots_are_taken_is_no_error_of_the_service(
    alice: Actor, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(database_url) as other:
        for lock, slots in ((LOCK_SLOT, SLOTS), (LOCK_EXPORT_SLOT, EXPORT_SLOTS)):
            for slot in range(slots):
                take(other, lock, slot)
        busy = [send(alice.client, collection(feature())), alice.client.get(EXPORT)]
        other.rollback()

    assert [answer.json()["error_code"] for answer in busy] == ["imports_busy", "exports_busy"]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    with connection.cursor() as cursor:  # what is one has its line
        cursor.execute("ALTER TABLE geofences_geofence RENAME TO away")
        assert alice.client.get(URL).status_code == 500
    assert [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_whoever_finds_the_slots_taken_is_not_charged(alice: Actor, database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        for slot in range(SLOTS):
            take(other, LOCK_SLOT, slot)
        busy = {send(alice.client, collection(feature())).status_code for _ in range(11)}
        other.rollback()

    assert busy == {503}
    assert counts(send(alice.client, collection(feature()))) == (1, 1, 0, 0)


class SlowBody(io.BytesIO):
    """A body of which every piece takes a minute to come, by the clock that is put forward."""

    def __init__(self, body: bytes, clock: pytest.MonkeyPatch, seconds: float) -> None:
        super().__init__(body)
        self.clock, self.seconds = clock, seconds

    def read(self, size: int | None = -1, /) -> bytes:
        now = time.monotonic() + self.seconds
        self.clock.setattr(time, "monotonic", lambda: now)
        return super().read(40)


@pytest.mark.parametrize(("seconds", "status"), [(60, 408), (1, 201)])
def test_a_sender_may_not_keep_a_slot_waiting(
    alice: Actor, monkeypatch: pytest.MonkeyPatch, seconds: float, status: int
) -> None:
    body = collection(feature())
    slow = {"wsgi.input": SlowBody(body, monkeypatch, seconds), "CONTENT_LENGTH": str(len(body))}

    answer = alice.client.generic("POST", IMPORT, content_type=GEOJSON, **slow)

    assert answer.status_code == status, answer.content
    assert Geofence.objects.count() == (status == 201)


def take(other: psycopg.Connection, lock: int, number: int) -> None:
    """Hold what an import under way in another process holds."""
    assert other.execute("SELECT pg_try_advisory_xact_lock(%s::int, %s::int)", [lock, number]).fetchone() == (True,)
