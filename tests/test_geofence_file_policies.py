"""What an import does with repetitions, what a dry run tells, which limits there are, and what the trail keeps."""

import json
from typing import Any

import psycopg
import pytest

from accounts.models import AuditEvent
from geofences.imports import LOCK_SLOT, LOCK_WORKSPACE, SLOTS
from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fence_files import GEOJSON, IMPORT, collection, counts, export, feature, only_fence, send
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
        assert (busy.status_code, busy.json()["error_code"]) == (503, "imports_busy")
        assert int(busy["Retry-After"]) > 0
        take(other, LOCK_WORKSPACE, alice.workspace.pk.int % 2**31)
        assert counts(send(mallory.client, collection(feature()))) == (1, 1, 0, 0)
        other.rollback()
        assert counts(send(alice.client, collection(feature()))) == (1, 1, 0, 0)


def take(other: psycopg.Connection, lock: int, number: int) -> None:
    """Hold what an import under way in another process holds."""
    assert other.execute("SELECT pg_try_advisory_xact_lock(%s::int, %s::int)", [lock, number]).fetchone() == (True,)
