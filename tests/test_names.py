"""Names that people give: keys, workspaces, themselves. Each has something to see, or is left out."""

import pytest
from rest_framework.test import APIClient

from tests.support.cast import PASSWORD, Actor

INVISIBLE = ["\u200b", "\u2066\u2069", "\u3164\u3164", "\u2800", "\u00ad\u2060", "\u202e", "\ufe0f"]
SIGNUP = "/api/v1/public/signup"
KEYS = "/api/v1/account/api-keys"


@pytest.mark.parametrize("name", INVISIBLE)
def test_a_name_needs_something_to_see(alice: Actor, name: str):
    key, _ = alice.make_key()
    answers = [
        alice.client.post(KEYS, {"name": name}, format="json"),
        alice.client.put(f"{KEYS}/{key.id}", {"name": name}, format="json"),
        alice.client.post("/api/v1/workspaces", {"name": name}, format="json"),
        alice.client.put("/api/v1/account/me", {"name": name}, format="json"),
        APIClient().post(SIGNUP, {"email": "n@person.test", "password": PASSWORD, "name": name}, format="json"),
    ]

    refusals = [(answer.status_code, list(answer.json().get("details", answer.json()))) for answer in answers]
    assert refusals == [(422, ["name"])] * 5


@pytest.mark.parametrize("name", ["x", "東京", "🚚", "\u200bA", "עברית", "-"])
def test_names_of_every_script_are_taken(alice: Actor, name: str):
    assert alice.client.post(KEYS, {"name": name}, format="json").status_code == 201
    assert alice.client.put("/api/v1/account/me", {"name": name}, format="json").status_code == 200
