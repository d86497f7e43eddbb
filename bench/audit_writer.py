"""Append audit events for some seconds, each in a transaction of its own; print how many. bench/audit.py calls it.

`python -m bench.audit_writer SECONDS` beside the service's own settings begins when it can read a line.
"""

import os
import sys
import time
import uuid

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spatialflow.settings")
django.setup()

from django.db import connection  # noqa: E402 - Django must be set up before its models load

from accounts.audit import Action, Person, record  # noqa: E402
from accounts.models import User  # noqa: E402
from accounts.principal import Client  # noqa: E402


def append_for(seconds: float) -> int:
    """Return how many events were appended, of the kind that a sign-in leaves behind."""
    client = Client("192.0.2.1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)", "POST", "/api/v1/auth/login")
    user = User.objects.create_user(f"{uuid.uuid4()}@bench.test")  # of whom nobody is, the trail keeps no address
    person, workspace_id, count = Person(user.id, user.email), uuid.uuid4(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        session = ("session", uuid.uuid4())
        record(
            Action.SIGNED_IN,
            client,
            "Signed in by password.",
            workspace_id=workspace_id,
            actor=person,
            resource=session,
            changes={"number": count},
            status_code=200,
        )
        count += 1
    return count


if __name__ == "__main__":
    connection.ensure_connection()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(f"{append_for(float(sys.argv[1]))}\n")
