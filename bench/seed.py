"""Fill a bootstrapped workspace with keys, people and sign-ins, and print their credentials as one JSON object.

`python -m bench.seed WORKSPACE_SLUG KEYS` beside the service's own settings; bench/service.py calls it.
"""

import json
import os
import sys
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spatialflow.settings")
django.setup()

from django.contrib.auth.hashers import make_password  # noqa: E402 - Django must be set up before its models load
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import Membership, User, Workspace  # noqa: E402
from accounts.principal import Client  # noqa: E402
from accounts.scopes import Role  # noqa: E402
from accounts.tokens import issue  # noqa: E402
from apikeys import keys  # noqa: E402
from apikeys.models import ApiKey  # noqa: E402
from bench.jobs import home  # noqa: E402
from bench.peers.fences import PASSWORD  # noqa: E402

PEOPLE = 400  # each may log in 15 times a minute
SIGN_INS = 2000  # each may refresh 30 times a minute


def seed(workspace: Workspace, key_count: int) -> dict[str, Any]:
    """Make everything in few statements, then let Postgres count what it has, as autovacuum would in time."""
    with transaction.atomic():
        owner = workspace.memberships.get(role=Role.OWNER).user
        raw_keys = add_keys(workspace, owner, key_count)
        members = add_people(workspace)
        pairs = [
            issue(members[number % PEOPLE], "password", Client(home(number % PEOPLE), "bench"))
            for number in range(SIGN_INS)
        ]
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return {
        "keys": raw_keys,
        "emails": [member.user.email for member in members],
        "access_tokens": [pair.access_token for pair in pairs],
        "refresh_tokens": [pair.refresh_token for pair in pairs],
        "homes": [home(number % PEOPLE) for number in range(SIGN_INS)],
    }


def add_keys(workspace: Workspace, owner: User, count: int) -> list[str]:
    raw_keys = [keys.generate() for _ in range(count)]
    ApiKey.objects.bulk_create(
        [
            ApiKey(
                workspace=workspace,
                created_by=owner,
                name=f"Key {number}",
                prefix=keys.shown_prefix(raw),
                digest=keys.digest(raw),
                scopes=["geofences:read"],
            )
            for number, raw in enumerate(raw_keys)
        ],
        batch_size=1000,
    )
    return raw_keys


def add_people(workspace: Workspace) -> list[Membership]:
    """Make field workers who all chose the same password; a login costs the same as with different ones."""
    hashed, now = make_password(PASSWORD), timezone.now()
    people = [
        User(email=f"person{number}@bench.test", password=hashed, email_verified_at=now) for number in range(PEOPLE)
    ]
    User.objects.bulk_create(people)
    members = [Membership(workspace=workspace, user=user, role=Role.FIELD_WORKER) for user in people]
    return Membership.objects.bulk_create(members)


if __name__ == "__main__":
    slug, number_of_keys = sys.argv[1:]
    json.dump(seed(Workspace.objects.get(slug=slug), int(number_of_keys)), sys.stdout)
