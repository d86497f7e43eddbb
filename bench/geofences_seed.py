"""Fill workspaces with fences, squares of 0.01 degree that Postgres makes itself, and print API keys as JSON. Each
is in one of a hundred groups and has two tags, one of which all have.

`python -m bench.geofences_seed PREFIX WORKSPACES FENCES KEYS` beside the service's own settings; bench/geofences.py
calls it.
"""

import json
import sys

from bench.seed import add_keys  # sets Django up before any model is loaded

from django.db import connection  # isort: skip

from accounts.models import Membership, User, Workspace
from accounts.scopes import Role

# The corners go into WKB (big-endian: that is what float8send writes) as shapely would write them.
FENCES_SQL = """
    INSERT INTO geofences_geofence (
        id, workspace_id, name, geometry, geometry_type, shape, bounding_box, geometry_digest, distinct_by,
        webhook_events, metadata, group_id, group_name, tags, tag_keys, source, is_active, archived, created_at,
        updated_at
    )
    SELECT gen_random_uuid(), %(workspace_id)s::uuid, 'fence ' || n,
        jsonb_build_object('type', 'Polygon', 'coordinates', jsonb_build_array(jsonb_build_array(
            jsonb_build_array(w, s), jsonb_build_array(e, s), jsonb_build_array(e, t), jsonb_build_array(w, t),
            jsonb_build_array(w, s)))),
        'Polygon', shape, box(point(w, s), point(e, t)), sha256(shape), '00000000-0000-0000-0000-000000000000',
        '{}', '{}', md5('group ' || n %% 100)::uuid, 'group ' || n %% 100, tags, tags, 'draw', true, false,
        now() - n * interval '1 second', now()
    FROM (
        SELECT *, ARRAY['common', 'tag ' || n %% 100] AS tags, '\\x00000000030000000100000005'::bytea
            || float8send(w) || float8send(s) || float8send(e) || float8send(s) || float8send(e) || float8send(t)
            || float8send(w) || float8send(t) || float8send(w) || float8send(s) AS shape
        FROM (
            SELECT n, x * .02::float8 AS w, y * .02::float8 AS s, x * .02::float8 + .01 AS e,
                y * .02::float8 + .01 AS t
            FROM (
                SELECT n, n %% %(side)s::int AS x, n / %(side)s::int AS y
                FROM generate_series(%(first)s::int, %(last)s::int) AS n
            ) AS grid
        ) AS corners
    ) AS fence"""
BATCH = 50_000
OWNER = "owner@bench.test"


def seed(prefix: str, workspaces: int, fences: int, key_count: int) -> list[str]:
    """Make the workspaces with as many fences each, and return API keys of them, spread evenly."""
    owner = User.objects.get(email=OWNER)
    made = Workspace.objects.bulk_create(
        Workspace(slug=f"{prefix}-{number}", name=prefix, plan="enterprise") for number in range(workspaces)
    )
    Membership.objects.bulk_create(Membership(user=owner, workspace=one, role=Role.OWNER) for one in made)
    side = max(1, round(fences**0.5))
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for workspace in made:
            for first in range(0, fences, BATCH):
                last = min(first + BATCH, fences) - 1
                places = {"workspace_id": workspace.id, "side": side, "first": first, "last": last}
                cursor.execute(FENCES_SQL, places)
        keys = [key for one in made for key in add_keys(one, owner, key_count // workspaces)]
        cursor.execute("VACUUM ANALYZE")
    return keys


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    json.dump(seed(name, *map(int, numbers)), sys.stdout)
