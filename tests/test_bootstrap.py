"""The first step of an installation."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from accounts.models import Membership, User, Workspace
from apikeys.models import ApiKey

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
        ["--plan", "x"],
    ],
)
def test_bad_arguments_are_refused_in_a_sentence_and_make_nothing(db, change):
    with pytest.raises(CommandError):
        bootstrap(*change)

    assert (User.objects.count(), Workspace.objects.count()) == (0, 0)
