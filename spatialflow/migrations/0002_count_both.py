"""What counts one request by two limits at once. It answers nothing where the wide one is exhausted, and one more than
the limit where the narrow one is; then it has counted nothing.

The wide one first: whoever waits for its row sees what this leaves, never what it has yet to take back. All lock in
this order, so nobody waits in a circle. What is exhausted already is refused without a lock.
"""

from django.db import migrations

SQL = """
CREATE FUNCTION spatialflow_count_both(
    wide text, wide_seconds integer, wide_limit integer, narrow text, narrow_seconds integer, narrow_limit integer,
    OUT wide_count integer, OUT narrow_count integer
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (SELECT FROM spatialflow_counter WHERE key = wide AND count >= wide_limit) THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM spatialflow_counter WHERE key = narrow AND count >= narrow_limit) THEN
        INSERT INTO spatialflow_counter AS counter (key, count, expires_at)
        VALUES (wide, 1, now() + wide_seconds * interval '1 second')
        ON CONFLICT (key) DO UPDATE SET count = counter.count + 1 WHERE counter.count < wide_limit
        RETURNING count INTO wide_count;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        INSERT INTO spatialflow_counter AS counter (key, count, expires_at)
        VALUES (narrow, 1, now() + narrow_seconds * interval '1 second')
        ON CONFLICT (key) DO UPDATE SET count = counter.count + 1 WHERE counter.count < narrow_limit
        RETURNING count INTO narrow_count;
        IF FOUND THEN
            RETURN;
        END IF;
        UPDATE spatialflow_counter SET count = count - 1 WHERE key = wide;
    END IF;
    wide_count := NULL;
    narrow_count := narrow_limit + 1;
END $$
"""
REVERSE = "DROP FUNCTION spatialflow_count_both(text, integer, integer, text, integer, integer)"


class Migration(migrations.Migration):
    dependencies = [("spatialflow", "0001_initial")]
    operations = [migrations.RunSQL(SQL, REVERSE)]
