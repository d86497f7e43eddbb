"""With a hundred thousand fences, and with many tenants: every question is answered by an index, and looks at no more
rows than it needs.

The plans are those of the statements that real requests send.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from accounts.models import Workspace
from geofences.geometry import read_geometry
from tests.support.cast import Actor, enter
from tests.support.fences import POLYGON, URL

FENCES = 100_000
NEIGHBOURS = 200  # other workspaces, with a hundred fences each at the same places and with the same tags

# Squares of 0.01 degree on a grid, made by Postgres itself. Every 10th is deleted, every 20th archived, every 50th has
# a common tag and one of its own, every 100th is in one of ten groups.
SEED = """
    INSERT INTO geofences_geofence (
        id, workspace_id, name, geometry, geometry_type, shape, bounding_box, geometry_digest, distinct_by,
        webhook_events, metadata, group_id, group_name, tags, tag_keys, source, address, is_active, archived,
        created_at, updated_at
    )
    SELECT gen_random_uuid(), %(workspace_id)s::uuid, 'fence ' || n,
        jsonb_build_object('type', 'Polygon', 'coordinates', jsonb_build_array(jsonb_build_array(
            jsonb_build_array(w, s), jsonb_build_array(w + .01, s), jsonb_build_array(w + .01, s + .01),
            jsonb_build_array(w, s + .01), jsonb_build_array(w, s)))),
        'Polygon', %(shape)s::bytea, box(point(w, s), point(w + .01, s + .01)), int4send(n), gen_random_uuid(),
        '{}', '{}', g, 'group ' || n %% 1000, t, t, 'draw', 'address ' || n, n %% 10 <> 1, n %% 20 = 2,
        now() - n * interval '1 second', now()
    FROM (
        SELECT n, (n %% 1000) * .1 AS w, (n / 1000) * .1 AS s,
            CASE WHEN n %% 100 = 0 THEN md5((n %% 1000)::text)::uuid END AS g,
            CASE WHEN n %% 50 = 0 THEN ARRAY['common', 'tag ' || n] ELSE '{}'::text[] END AS t
        FROM generate_series(1, %(count)s) AS n
    ) AS fence"""


def seed(workspace: Workspace, count: int, shape: bytes) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SEED, {"workspace_id": workspace.pk, "count": count, "shape": shape})


@pytest.fixture(scope="module")
def crowd(django_db_setup: None, django_db_blocker: Any) -> Iterator[uuid.UUID]:
    """Store the crowd once for the module, outside of any test's transaction, and yield the id of its workspace."""
    with django_db_blocker.unblock():
        workspaces = [
            Workspace.objects.create(slug=f"crowd-{number}", name="Crowd") for number in range(NEIGHBOURS + 1)
        ]
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = 0")  # on a busy machine, filling the table takes its time
            shape = read_geometry(POLYGON).wkb
            seed(workspaces[0], FENCES, shape)
            for neighbour in workspaces[1:]:
                seed(neighbour, 100, shape)
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE geofences_geofence")
            yield workspaces[0].pk
        finally:
            for workspace in workspaces:
                workspace.delete()
            with connection.cursor() as cursor:
                cursor.execute("RESET statement_timeout")


@pytest.fixture
def member(crowd: uuid.UUID, db: None) -> Actor:
    return enter("alice", "owner", Workspace.objects.get(pk=crowd))


class Plans:
    """The plans of what a block sends to the table of fences, with what each step really did."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def __call__(self, execute: Any, statement: str, parameters: Any, many: bool, context: Any) -> Any:
        if "geofences_geofence" in statement and not statement.startswith("EXPLAIN"):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
                plan = cursor.fetchone()[0]
            steps = walk((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
            # The totals are one row a workspace: few enough here to be read whole.
            self.steps += [step for step in steps if step.get("Relation Name") != "geofences_geofencetotal"]
        return execute(statement, parameters, many, context)

    @property
    def full_scans(self) -> list[str]:
        return [step["Relation Name"] for step in self.steps if step["Node Type"] == "Seq Scan"]

    @property
    def indexes(self) -> set[str]:
        return {step["Index Name"] for step in self.steps if "Index Name" in step}

    @property
    def most_rows(self) -> float:
        """Return the most rows that a step read from the table or an index, kept and thrown away."""
        scans = [step for step in self.steps if "Scan" in step["Node Type"]]
        read = [step["Actual Loops"] * (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) for step in scans]
        return max(read, default=0)


def walk(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from walk(child)


QUESTIONS = {
    "the usual list": ("get", "", None, {"geofence_page"}, 50),
    "the list with archived ones": ("get", "?include_archived=true", None, {"geofence_page"}, 101),
    "the list with deleted ones": ("get", "?active_only=false&limit=500", None, {"geofence_page"}, 1_001),
    "the list of everything": ("get", "?active_only=false&include_archived=true", None, {"geofence_page"}, 201),
    "a rare tag": ("get", "?tags=tag+50", None, {"geofence_tags"}, 2),
    "a rare tag and a common one": ("get", "?tags=common&tags=tag+50", None, {"geofence_tags"}, 2),
    "a page of a common tag": ("get", "?tags=common&limit=10", None, {"geofence_tags"}, 2_000),
    "the tags": ("get", "/tags", None, {"geofence_tagged", "geofence_tags"}, 4_000),
    "a point": ("post", "/test-point", {"lat": 0.005, "lng": 0.505}, {"geofence_box"}, 2),
    "a point where nothing is": ("post", "/test-point", {"lat": -45, "lng": 0}, {"geofence_box"}, 1),
    "a pole": ("post", "/test-point", {"lat": 90, "lng": 0}, {"geofence_box"}, 1),
    "the map": ("get", "/active-summary", None, {"geofence_page"}, 500),
    "the groups": ("get", "/groups", None, {"geofence_group"}, 1_000),
    "a group": ("get", "/groups/{group}/geofences?limit=5", None, {"geofence_group"}, 100),
}


def test_what_comes_before_a_late_page_is_read_from_the_index_alone(member: Actor, crowd: uuid.UUID) -> None:
    plans = Plans()

    with connection.execute_wrapper(plans):
        answer = member.client.get(f"{URL}?offset=80000&limit=20")

    assert answer.json()["count"] == 20
    steps = {step.get("Index Name"): step for step in plans.steps if step["Node Type"].startswith("Index")}
    assert steps["geofence_page"]["Node Type"] == "Index Only Scan"
    assert [step["Actual Loops"] for name, step in steps.items() if name != "geofence_page"] == [20]


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_index_answers(member: Actor, crowd: uuid.UUID, question: str) -> None:
    method, path, body, indexes, rows = QUESTIONS[question]
    with connection.cursor() as cursor:
        cursor.execute("SELECT md5('100')::uuid")
        path = path.replace("{group}", str(cursor.fetchone()[0]))
    plans = Plans()

    with connection.execute_wrapper(plans):
        answer = getattr(member.client, method)(f"{URL}{path}", body, **({"format": "json"} if body else {}))

    assert answer.status_code == 200, answer.content
    assert plans.full_scans == []
    assert plans.indexes & indexes
    assert plans.most_rows <= rows
