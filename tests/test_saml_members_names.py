"""By what a provider names a workspace's members: a NameID, which is bound, and one address."""

from typing import Any

import pytest
from social_django.models import UserSocialAuth

from accounts.models import Membership
from sso.models import IdentityProvider
from tests.support.saml_idp import NS, SamlIdp
from tests.support.saml_members import invite
from tests.support.saml_steps import came_in, initiate, post, refused_by, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"


def qualified(by: str) -> Any:
    """Return an edit that says who has given the name."""
    return lambda root: root.find("saml:Assertion/saml:Subject/saml:NameID", NS).set("NameQualifier", by)


# The NameID


def test_once_bound_only_the_name_id_counts(bob, carol, idp, connection, browser):
    said = {"name_id": "u-17", "name_id_format": PERSISTENT}
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})
    assert came_in(sign_in(browser, idp, **said, attributes={"mail": "bob@acme.test"}))

    # Renamed at the provider, even to the address of somebody else here.
    assert came_in(sign_in(browser, idp, **said, attributes={"mail": "carol@acme.test"}))

    assert signed_in_by_saml() == ["bob@acme.test"] * 2


def test_another_name_id_with_a_bound_address_is_a_stranger(bob, idp, connection, browser):
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"}, creates_members=True)
    said = {"name_id_format": PERSISTENT, "attributes": {"mail": "bob@acme.test"}}
    sign_in(browser, idp, name_id="u-17", **said)

    assert refused_by(sign_in(browser, idp, name_id="u-18", **said)) == "account"
    assert refused_by(sign_in(browser, idp, name_id="U-17", **said)) == "account"
    assert came_in(sign_in(browser, idp, name_id="u-17", **said))


def test_until_the_owners_remove_and_invite_them_anew(bob, acme, idp, connection, browser):
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})
    said = {"name_id_format": PERSISTENT, "attributes": {"mail": "bob@acme.test"}}
    sign_in(browser, idp, name_id="u-17", **said)
    Membership.objects.filter(user=bob.user).delete()
    invite(acme, "bob@acme.test", "member")

    assert came_in(sign_in(browser, idp, name_id="u-18", **said))
    assert UserSocialAuth.objects.count() == 1
    assert refused_by(sign_in(browser, idp, name_id="u-17", **said)) == "account"


def test_case_does_not_matter_in_a_name_id_that_is_an_address(bob, idp, connection, browser):
    assert came_in(sign_in(browser, idp, name_id="Bob@ACME.test"))
    assert came_in(sign_in(browser, idp, name_id="bob@acme.test"))

    assert UserSocialAuth.objects.get().uid == "bob@acme.test"


@pytest.mark.parametrize(
    "other",
    [
        {"name_id_format": UNSPECIFIED},
        {"name_id_format": None},
        {"name_id_format": "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"},
        {"edit": qualified("https://another.test/saml")},
    ],
    ids=["unspecified", "none", "subject name", "qualifier"],
)
def test_the_same_letters_in_another_name_space_are_somebody_else(bob, carol, idp, connection, browser, other):
    """SAML core 2.2.2, 8.3: of a format and a qualifier."""
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})
    said = {"name_id": "u-17", "name_id_format": PERSISTENT}
    assert came_in(sign_in(browser, idp, **said, attributes={"mail": "bob@acme.test"}))

    assert came_in(sign_in(browser, idp, **{**said, **other}, attributes={"mail": "carol@acme.test"}))

    assert signed_in_by_saml() == ["bob@acme.test", "carol@acme.test"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"name_id_format": None}, {"name_id_format": UNSPECIFIED}),
        (
            {"name_id_format": PERSISTENT},
            {"name_id_format": PERSISTENT, "edit": qualified("https://idp.acme.test/saml")},
        ),
    ],
    ids=["format", "qualifier"],
)
def test_what_is_meant_where_nothing_is_said_is_the_same_name(bob, carol, idp, connection, browser, first, second):
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})
    assert came_in(sign_in(browser, idp, name_id="u-17", **first, attributes={"mail": "bob@acme.test"}))

    assert came_in(sign_in(browser, idp, name_id="u-17", **second, attributes={"mail": "carol@acme.test"}))
    assert signed_in_by_saml() == ["bob@acme.test"] * 2


def test_a_name_that_looks_like_an_address_is_none_in_another_format(bob, carol, idp, connection, browser):
    assert came_in(sign_in(browser, idp, name_id="bob@acme.test"))
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})

    said = {"name_id": "bob@acme.test", "name_id_format": UNSPECIFIED, "attributes": {"mail": "carol@acme.test"}}
    assert came_in(sign_in(browser, idp, **said))
    assert signed_in_by_saml() == ["bob@acme.test", "carol@acme.test"]


def test_the_same_name_id_at_two_providers_is_two_people(bob, mallory, idp, connection, browser):
    """Bob's NameID, said by the provider of other about an address of other, is somebody else."""
    foreign = SamlIdp(entity_id="https://idp.other.test/saml", key="other")
    foreign.configure(mallory.workspace, creates_members=True, attribute_mapping={"email": "mail"})
    IdentityProvider.objects.filter(id=connection.id).update(attribute_mapping={"email": "mail"})
    said = {"name_id": "u-17", "name_id_format": PERSISTENT}
    sign_in(browser, idp, **said, attributes={"mail": "bob@acme.test"})

    answer = foreign.respond(initiate(browser, "other"), **said, attributes={"mail": "mallory@other.test"})
    assert came_in(post(browser, answer, "other"))
    answer = foreign.respond(initiate(browser, "other"), **said, attributes={"mail": "bob@acme.test"})
    assert refused_by(post(browser, answer, "other")) == "domain"

    assert signed_in_by_saml() == ["bob@acme.test", "mallory@other.test"]


# The address


@pytest.mark.parametrize(
    ("said", "check"),
    [
        ({"attributes": {}}, "email"),
        ({"attributes": {"mail": []}}, "email"),
        ({"attributes": {"mail": ["bob@acme.test", "carol@acme.test"]}}, "email"),
        ({"attributes": {"mail": ["bob@acme.test", "bob@acme.test"]}}, "email"),
        ({"attributes": {"mail": ""}}, "email"),
        ({"attributes": {"mail": "bob"}}, "email"),
        ({"attributes": {"mail": "bob@acme.test,carol@acme.test"}}, "email"),
        ({"attributes": {"mail": "bob@acme.test bob"}}, "email"),
        ({"attributes": {"mail": "bob@acme.\ntest"}}, "email"),
        ({"attributes": {"mail": "ｂob@acme.test"}}, "email"),
        ({"attributes": {"mail": "bób@acme.test"}}, "email"),
        ({"attributes": {"mail": '"bob bob"@acme.test'}}, "email"),
        ({"attributes": {"mail": f"{'b' * 250}@acme.test"}}, "email"),
        ({"attributes": {"mail": "carol@acme.test"}}, "name_id_email"),
        ({"attributes": {"mail": "bob@sub.acme.test"}, "name_id": "bob@sub.acme.test"}, "domain"),
        ({"attributes": {"mail": "bob@acme.test.evil.test"}, "name_id": "bob@acme.test.evil.test"}, "domain"),
        ({"attributes": {"mail": "bob@acme.test@evil.test"}}, "email"),
        ({"attributes": {"Mail": "bob@acme.test"}}, "email"),
    ],
    ids=str,
)
def test_the_attribute_that_is_mapped_names_one_address(bob, carol, idp, creating, browser, said, check):
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})

    assert refused_by(sign_in(browser, idp, **said)) == check
    assert not signed_in_by_saml()


def test_an_attribute_may_name_it_where_the_name_id_is_something_else(bob, idp, connection, browser):
    IdentityProvider.objects.update(attribute_mapping={"email": "mail"})

    response = sign_in(
        browser, idp, name_id="u-17", name_id_format=PERSISTENT, attributes={"mail": "Bob@Acme.Test", "x": "y"}
    )

    assert came_in(response) and signed_in_by_saml() == ["bob@acme.test"]


@pytest.mark.parametrize("name_id", ["u-17", "bob", "bob@@acme.test", "bob@acme"])
def test_without_a_mapping_the_name_id_is_an_address(bob, idp, creating, browser, name_id):
    assert refused_by(sign_in(browser, idp, name_id=name_id, name_id_format=UNSPECIFIED)) == "email"
    assert came_in(sign_in(browser, idp, name_id="bob@acme.test", name_id_format=UNSPECIFIED))
