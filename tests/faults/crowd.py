"""Add accounts with one password to the stage's workspace.

`python -m tests.faults.crowd COUNT PASSWORD` beside the service's own settings; sign_ins.py calls it.
"""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spatialflow.settings")
django.setup()

from django.contrib.auth.hashers import make_password  # noqa: E402 - Django must be set up before its models load
from django.utils import timezone  # noqa: E402

from accounts.models import Membership, User, Workspace  # noqa: E402
from accounts.scopes import Role  # noqa: E402


def add(count: int, password: str) -> None:
    """Make field workers who share one hash: checking it costs the same as checking one of their own."""
    workspace, hashed, now = Workspace.objects.get(slug="stage"), make_password(password), timezone.now()
    people = [
        User(email=f"crowd{number}@stage.test", password=hashed, email_verified_at=now) for number in range(count)
    ]
    User.objects.bulk_create(people)
    Membership.objects.bulk_create(
        [Membership(workspace=workspace, user=user, role=Role.FIELD_WORKER) for user in people]
    )


if __name__ == "__main__":
    add(int(sys.argv[1]), sys.argv[2])
