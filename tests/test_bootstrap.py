"""The first step of an installation."""

import json
import os
import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from accounts.models import Membership, User, Workspace
from apikeys.models import ApiKey
from tests.support.cast import PASSWORD
from tests.support.launch import PROJECT

ARGUMENTS = [
    "--workspace-slug",
    "acme",
    "--workspace-name",
    "Acme",
    "--plan",
    "business",
    "--email",
    "owner@acme.test",
    "--json",
]


def bootstrap(*more: str) -> dict[str, Any]:
    out = StringIO()
    call_command("bootstrap", *ARGUMENTS, *more, stdout=out)
    return json.loads(out.getvalue())


def test_it_makes_a_workspace_a_verified_owner_and_a_key_that_work(db, anyone):
    made = bootstrap()

    assert set(made) == {"workspace_id", "workspace_slug", "user_id", "email", "password", "api_key"}
    assert (made["workspace_slug"], made["email"]) == ("acme", "owner@acme.test")
    login = anyone.post(
        "/api/v1/auth/login", {"email": made["email"], "password": made["password"]}, format="json"
    ).json()
    assert (login["user"]["workspace_role"], login["user"]["email_verified"]) == ("owner", True)
    assert (login["user"]["id"], login["user"]["workspace_id"]) == (made["user_id"], made["workspace_id"])
    assert APIClient(headers={"X-API-KEY": made["api_key"]}).get("/api/v1/geofences/").status_code == 200
    assert Workspace.objects.get().plan == "business"


def test_it_is_idempotent(db):
    first = bootstrap()
    again = bootstrap()

    assert again == {**first, "password": None, "api_key": None}
    assert (User.objects.count(), Workspace.objects.count(), Membership.objects.count(), ApiKey.objects.count()) == (
        1,
        1,
        1,
        1,
    )


def test_a_further_key_can_be_asked_for_and_a_password_given(db, anyone):
    first = bootstrap("--password", "a password of my own")
    second = bootstrap("--new-key")

    assert first["password"] == "a password of my own"
    assert second["api_key"] not in (None, first["api_key"])
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize(
    "change",
    [
        ["--email", "nonsense"],
        ["--password", "short"],
        ["--password", "password123"],
        ["--workspace-slug", "a b"],
        ["--workspace-slug", "a" * 256],
        ["--workspace-name", "a" * 256],
        ["--workspace-name", ""],
        ["--plan", "x"],
    ],
)
def test_bad_arguments_are_refused_in_a_sentence_and_make_nothing(db, change):
    with pytest.raises(CommandError):
        bootstrap(*change)

    assert (User.objects.count(), Workspace.objects.count()) == (0, 0)


def test_who_exists_is_verified_and_made_an_owner_and_keeps_the_password(db, carol, acme, capsys):
    User.objects.filter(id=carol.user.id).update(email_verified_at=None)

    made = bootstrap("--email", carol.user.email)

    assert (made["user_id"], made["password"]) == (str(carol.user.id), None)
    person = User.objects.get(id=carol.user.id)
    assert person.email_verified_at is not None
    assert person.check_password(PASSWORD)
    assert Membership.objects.get(user=person, workspace=acme).role == "owner"
    assert f"manage.py changepassword {carol.user.email}" in capsys.readouterr().err


def test_a_deactivated_owner_is_refused(db):
    User.objects.create_user("owner@acme.test", PASSWORD, is_active=False)

    with pytest.raises(CommandError, match=r"owner@acme\.test is deactivated"):
        bootstrap()

    assert not Workspace.objects.exists()


def test_what_is_ignored_is_said(db, capsys):
    first = bootstrap("--password", PASSWORD)
    bootstrap("--password", PASSWORD)
    assert capsys.readouterr().err == ""

    again = bootstrap("--password", "another good password", "--plan", "team", "--workspace-name", "Acme Limited")

    assert again == {**first, "password": None, "api_key": None}
    assert capsys.readouterr().err.splitlines() == [
        "--workspace-name is ignored: acme exists and is named Acme.",
        "--plan is ignored: acme exists and has the plan business.",
        "--password is ignored: owner@acme.test exists and has another.",
    ]


def test_a_database_that_does_not_answer_is_one_sentence():
    environment = {**os.environ, "DATABASE_URL": "postgresql://u:not-to-print@127.0.0.1:1/x"}
    command = [sys.executable, "manage.py", "bootstrap", *ARGUMENTS]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("CommandError: The database cannot be used: ") and "refused" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "not-to-print" not in done.stderr
