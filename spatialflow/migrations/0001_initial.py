"""The counters table. UNLOGGED: counting does not wait for the disk, and a crash of Postgres empties it (limits start
anew).
"""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.RunSQL(
            sql=[
                """
                CREATE UNLOGGED TABLE spatialflow_counter (
                    key text PRIMARY KEY,
                    count integer NOT NULL,
                    expires_at timestamptz NOT NULL
                ) WITH (fillfactor = 70)
                """,
                "CREATE INDEX spatialflow_counter_expires_at ON spatialflow_counter (expires_at)",
            ],
            reverse_sql="DROP TABLE spatialflow_counter",
        ),
    ]
