"""Triggers that keep geofences_geofencetotal: one statement changes it once, however many fences it touches.

An INSERT may make a workspace's row; UPDATE and DELETE only change one, because where a whole workspace is deleted its
row may be gone already.
"""

from django.db import migrations

STATES = {
    "active": "is_active AND NOT archived",
    "active_archived": "is_active AND archived",
    "inactive": "NOT is_active AND NOT archived",
    "inactive_archived": "NOT is_active AND archived",
}
COUNTS = ", ".join(f"count(*) FILTER (WHERE {condition}) AS {state}" for state, condition in STATES.items())
CHANGES = ", ".join(
    f"coalesce(sum(sign) FILTER (WHERE {condition}), 0) AS {state}" for state, condition in STATES.items()
)
ADD = ", ".join(f"{state} = total.{state} + change.{state}" for state in STATES)
ADD_EXCLUDED = ADD.replace("change.", "excluded.")
ANY_CHANGE = " OR ".join(f"change.{state} <> 0" for state in STATES)

COUNT_ADDED = f"""
    INSERT INTO geofences_geofencetotal AS total (workspace_id, {", ".join(STATES)})
    SELECT workspace_id, {COUNTS} FROM added GROUP BY workspace_id ORDER BY workspace_id
    ON CONFLICT (workspace_id) DO UPDATE SET {ADD_EXCLUDED};"""  # noqa: S608 - made of constants
COUNT_CHANGED = f"""
    UPDATE geofences_geofencetotal AS total SET {ADD}
    FROM (
        SELECT workspace_id, {CHANGES} FROM (%s) AS fence GROUP BY workspace_id
    ) AS change
    WHERE total.workspace_id = change.workspace_id AND ({ANY_CHANGE});"""  # noqa: S608
ROWS_ADDED = "SELECT workspace_id, is_active, archived, 1 AS sign FROM added"
ROWS_REMOVED = "SELECT workspace_id, is_active, archived, -1 AS sign FROM removed"

EVENTS = {
    "insert": ("REFERENCING NEW TABLE AS added", COUNT_ADDED),
    "update": (
        "REFERENCING NEW TABLE AS added OLD TABLE AS removed",
        COUNT_CHANGED % f"{ROWS_ADDED} UNION ALL {ROWS_REMOVED}",
    ),
    "delete": ("REFERENCING OLD TABLE AS removed", COUNT_CHANGED % ROWS_REMOVED),
}
CREATE = "".join(
    f"""
CREATE FUNCTION geofences_total_after_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {statement}
    RETURN NULL;
END $$;
CREATE TRIGGER geofences_total_after_{event} AFTER {event.upper()} ON geofences_geofence {tables}
    FOR EACH STATEMENT EXECUTE FUNCTION geofences_total_after_{event}();
"""
    for event, (tables, statement) in EVENTS.items()
)
COUNT_WHAT_IS_THERE = f"""
INSERT INTO geofences_geofencetotal (workspace_id, {", ".join(STATES)})
SELECT workspace_id, {COUNTS} FROM geofences_geofence GROUP BY workspace_id;
"""  # noqa: S608
DROP = "".join(
    f"DROP TRIGGER geofences_total_after_{event} ON geofences_geofence; DROP FUNCTION geofences_total_after_{event}();\n"
    for event in EVENTS
)


class Migration(migrations.Migration):
    dependencies = [("geofences", "0002_search_within_a_workspace")]

    operations = [
        # The triggers first: to make them takes a lock that waits for whoever writes and lets nobody write until all this
        # is committed, so what is counted then is everything.
        migrations.RunSQL(CREATE, DROP),
        migrations.RunSQL(COUNT_WHAT_IS_THERE, migrations.RunSQL.noop),
    ]
