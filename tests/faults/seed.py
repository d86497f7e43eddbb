"""Fill an empty, migrated database with people and sign-ins, and print their credentials as one JSON object.

`python -m tests.faults.seed PEOPLE SIGN_INS_OF_EACH` beside the service's own settings; stage.py calls it.
"""

import json
import os
import sys
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spatialflow.settings")
django.setup()

from django.contrib.auth.hashers import make_password  # noqa: E402 - Django must be set up before its models load
from django.utils import timezone  # noqa: E402

from accounts.models import Membership, User, Workspace  # noqa: E402
from accounts.principal import Client  # noqa: E402
from accounts.scopes import Role  # noqa: E402
from accounts.tokens import issue  # noqa: E402
from tests.faults.stage import PASSWORD  # noqa: E402


def seed(people: int, sign_ins_of_each: int) -> list[dict[str, Any]]:
    """Make owners of one workspace, each signed in so many times, and return what they hold."""
    workspace = Workspace.objects.create(slug="stage", name="Stage", plan="enterprise")
    hashed = make_password(PASSWORD)
    found = []
    for number in range(people):
        email = f"person{number}@stage.test"
        user = User.objects.create(email=email, password=hashed, email_verified_at=timezone.now())
        member = Membership.objects.create(user=user, workspace=workspace, role=Role.OWNER)
        pairs = [issue(member, "password", Client("192.0.2.1", "stage")) for _ in range(sign_ins_of_each)]
        found.append(
            {
                "email": email,
                "access_token": pairs[0].access_token,
                "refresh_tokens": [pair.refresh_token for pair in pairs],
            }
        )
    return found


if __name__ == "__main__":
    json.dump(seed(*map(int, sys.argv[1:])), sys.stdout)
