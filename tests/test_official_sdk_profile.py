"""A person's own account through the official SDK: profile and deletion."""

import pytest

from accounts.models import User
from tests.support.cast import Actor
from tests.support.sdk import Client, Refusal, Sdk, built, from_dict
from tests.support.sdk_operations import exercises
from tests.test_profile import DEFAULTS, EVERYTHING

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


@exercises("account.get_profile")
def test_a_new_profile_has_every_member(alice: Actor, alice_sdk: Client):
    profile = alice_sdk.call("account.get_profile")

    assert {name: profile[name] for name in DEFAULTS} == DEFAULTS
    assert {name: profile[name] for name in ("id", "email", "name", "role", "workspace_id", "email_verified")} == {
        "id": str(alice.user.id),
        "email": "alice@acme.test",
        "name": "Alice",
        "role": "owner",
        "workspace_id": str(alice.workspace.id),
        "email_verified": True,
    }


@exercises("account.get_profile", "account.update_profile")
@pytest.mark.parametrize("make", [built, from_dict])
def test_every_member_round_trips(alice_sdk: Client, make):
    before = alice_sdk.call("account.get_profile")

    alice_sdk.call("account.update_profile", request=make("UpdateProfileRequest", **EVERYTHING))

    after = alice_sdk.call("account.get_profile")
    assert after == {**before, **EVERYTHING, "updated_at": after["updated_at"]}


@pytest.mark.parametrize("make", [built, from_dict])
def test_an_update_of_one_member_leaves_the_rest(alice_sdk: Client, make):
    """`from_dict` sends a null for every member that it was not given."""
    alice_sdk.call("account.update_profile", request=built("UpdateProfileRequest", **EVERYTHING))
    before = alice_sdk.call("account.get_profile")

    alice_sdk.call("account.update_profile", request=make("UpdateProfileRequest", bio="Changed."))

    after = alice_sdk.call("account.get_profile")
    assert after == {**before, "bio": "Changed.", "updated_at": after["updated_at"]}


def test_an_unknown_time_zone_is_a_validation_error(alice_sdk: Client):
    wish = from_dict("UpdateProfileRequest", timezone="Mars/Olympus")

    refusal = alice_sdk.refused("account.update_profile", request=wish)

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ValidationError", 422, "validation_error")


@exercises("account.delete_own_account")
def test_an_account_is_deleted(sdk: Sdk, alice: Actor, bob: Actor):
    client = sdk.client(access_token=bob.pair.access_token)

    assert client.call("account.delete_own_account") is None

    assert client.refused("account.get_profile").kind == "AuthenticationError"
    assert not User.objects.filter(id=bob.user.id).exists()


def test_the_sole_owner_of_others_is_a_conflict(bob: Actor, alice_sdk: Client):
    refusal = alice_sdk.refused("account.delete_own_account")

    assert refusal == Refusal(
        "ConflictError",
        409,
        "You are the only owner of a workspace that has other members. Make one of them an owner, or delete the "
        "workspace, before you delete your account.",
        "sole_owner",
    )


def test_a_key_cannot_read_the_profile(key_sdk: Client):
    assert key_sdk.refused("account.get_profile").status_code == 401, "the SDK sends no key to what is for people"
