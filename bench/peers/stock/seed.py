"""Make the tables, fill them, and print the credentials as one JSON object: `python -m stock.seed KEYS PEOPLE`."""

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stock.settings")
django.setup()

from django.contrib.auth.hashers import make_password  # noqa: E402 - Django must be set up before its models load
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from fences import FENCES, PASSWORD  # noqa: E402
from rest_framework_simplejwt.tokens import RefreshToken  # noqa: E402
from stock.models import Geofence, Member, Workspace, WorkspaceKey  # noqa: E402


def main(key_count: int, people: int) -> None:
    call_command("migrate", verbosity=0)
    call_command("migrate", "--run-syncdb", verbosity=0)  # our own tables, which refer to those
    workspace = Workspace.objects.create(name="Bench")
    Geofence.objects.bulk_create([Geofence(workspace=workspace, **fence) for fence in FENCES])
    made = [WorkspaceKey(name=f"Key {number}", workspace=workspace) for number in range(key_count)]
    keys = [WorkspaceKey.objects.assign_key(key) for key in made]
    WorkspaceKey.objects.bulk_create(made, batch_size=1000)
    password = make_password(PASSWORD)
    users = User.objects.bulk_create(
        [User(username=f"person{number}@bench.test", password=password) for number in range(people)]
    )
    Member.objects.bulk_create([Member(user=user, workspace=workspace) for user in users])
    pairs = [RefreshToken.for_user(user) for user in users for _ in range(5)]
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    credentials = {
        "keys": keys,
        "emails": [user.username for user in users],
        "access_tokens": [str(pair.access_token) for pair in pairs],
        "refresh_tokens": [str(pair) for pair in pairs],
    }
    json.dump(credentials, sys.stdout)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
