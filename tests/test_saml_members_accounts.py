"""What becomes of the accounts of a workspace's members whom its identity provider signs in."""

import pytest
from social_django.models import UserSocialAuth

from accounts.models import Membership, OutgoingMail, User
from sso.models import IdentityProvider, SamlAttempt
from tests.support.saml_idp import SamlIdp
from tests.support.saml_members import DAVE, place_of
from tests.support.saml_steps import came_in, refused_by, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


def test_a_member_comes_in_and_is_bound(bob, idp, connection, browser):
    assert came_in(sign_in(browser, idp))

    bound = UserSocialAuth.objects.get()
    assert (bound.user_id, bound.provider, bound.uid) == (bob.user.id, connection.provider_name, "bob@acme.test")
    assert bound.extra_data == {}
    assert place_of("bob@acme.test") == "field_worker"


def test_the_person_hears_of_it_once(bob, idp, connection, browser):
    sign_in(browser, idp)
    sign_in(browser, idp)

    assert OutgoingMail.objects.filter(kind="workspace_identity_linked").count() == 1


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"is_active": False}, "account"),
        ({"is_staff": True}, "account"),
        ({"is_superuser": True}, "account"),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_bound", [False, True])
def test_some_accounts_are_never_opened(bob, idp, creating, browser, change, check, is_bound):
    if is_bound:
        sign_in(browser, idp)
    User.objects.filter(id=bob.user.id).update(**change)
    assert refused_by(sign_in(browser, idp)) == check
    assert len(signed_in_by_saml()) == is_bound
    assert SamlAttempt.objects.get().checks[-1]["expected"].endswith(".")  # a sentence for the owners


def test_somebody_who_came_in_by_the_former_provider_is_bound_anew(bob, idp, connection, browser):
    sign_in(browser, idp)
    IdentityProvider.objects.update(state="former")
    second = SamlIdp(entity_id="https://second.test/saml", key="second", sso_url="https://second.test/sso")
    second.configure(bob.workspace)

    assert came_in(sign_in(browser, second))
    assert UserSocialAuth.objects.filter(user=bob.user).count() == 2


def test_a_name_never_replaces_one_that_is_there(bob, idp, connection, browser):
    IdentityProvider.objects.update(attribute_mapping={"name": "displayName"})

    sign_in(browser, idp, attributes={"displayName": "Robert"})
    bob.user.refresh_from_db()
    assert bob.user.name == "Bob"

    User.objects.filter(id=bob.user.id).update(name="")
    sign_in(browser, idp, attributes={"displayName": " Robert "})
    bob.user.refresh_from_db()
    assert bob.user.name == "Robert"


def test_a_name_is_given_to_nobody_who_belongs_to_others_too(bob, mallory, idp, connection, browser):
    IdentityProvider.objects.update(attribute_mapping={"name": "displayName"})
    User.objects.filter(id=bob.user.id).update(name="")
    Membership.objects.create(user=bob.user, workspace=mallory.workspace, role="member")

    for expected in ("", "Robert"):
        assert came_in(sign_in(browser, idp, attributes={"displayName": "Robert"}))
        bob.user.refresh_from_db()
        assert bob.user.name == expected
        Membership.objects.filter(workspace=mallory.workspace, user=bob.user).delete()


@pytest.mark.parametrize("name", ["x" * 256, "a\nb", "", "\u202egro"])
def test_a_name_that_is_not_fit_to_show_is_none(idp, creating, browser, name):
    IdentityProvider.objects.update(attribute_mapping={"name": "displayName"})

    assert came_in(sign_in(browser, idp, name_id=DAVE, attributes={"displayName": name}))
    assert User.objects.get(email=DAVE).name == ""


def test_who_deletes_their_account_is_not_named_among_the_attempts_any_more(bob, carol, idp, connection, browser):
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})
    for mail in ("Bob@Acme.test", "carol@acme.test"):
        refused_by(sign_in(browser, idp, name_id="nobody@acme.test", attributes={"mail": mail}))

    assert bob.client.delete("/api/v1/account/me").status_code == 204

    assert [attempt.attributes["mail"] for attempt in SamlAttempt.objects.all()] == [["carol@acme.test"]]
