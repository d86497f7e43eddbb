"""Whom a workspace's identity provider signs in: members, who is invited, and where it is allowed, new ones."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, Invitation, Membership, OutgoingMail, User, Workspace
from sso.models import IdentityProvider, SamlAttempt
from tests.support.oauth import exchange
from tests.support.saml_idp import NS, SamlIdp
from tests.support.saml_steps import came_in, get_code, initiate, post, refused_by, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
DAVE = "dave@acme.test"


def qualified(by: str) -> Any:
    """Return an edit that says who has given the name."""
    return lambda root: root.find("saml:Assertion/saml:Subject/saml:NameID", NS).set("NameQualifier", by)


@pytest.fixture
def creating(connection: IdentityProvider) -> IdentityProvider:
    """The connection, which creates field workers."""
    IdentityProvider.objects.update(creates_members=True, default_role="field_worker")
    return connection


def invite(workspace: Workspace, email: str = DAVE, role: str = "manager", **fields: Any) -> Invitation:
    expires_at = timezone.now() + timedelta(days=1)
    digest = f"{workspace.slug} {email}".encode()[:32]
    return Invitation.objects.create(
        workspace=workspace, email=email, role=role, digest=digest, **{"expires_at": expires_at, **fields}
    )


def place_of(email: str, slug: str = "acme") -> str | None:
    """Return somebody's role in a workspace."""
    return Membership.objects.filter(user__email=email, workspace__slug=slug).values_list("role", flat=True).first()


# Members


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


# Whoever is no member yet


def test_a_stranger_stays_out(mallory, idp, connection, browser):
    assert refused_by(sign_in(browser, idp, name_id=DAVE)) == "membership"
    assert not User.objects.filter(email=DAVE).exists() and not UserSocialAuth.objects.exists()


def test_an_account_of_elsewhere_stays_out_too(idp, connection, browser):
    User.objects.create_user(DAVE, "correct horse battery staple", email_verified_at=timezone.now())

    assert refused_by(sign_in(browser, idp, name_id=DAVE)) == "membership"
    assert place_of(DAVE) is None and not UserSocialAuth.objects.exists()


def test_a_new_member_is_made_where_that_is_allowed(idp, creating, browser):
    IdentityProvider.objects.update(attribute_mapping={"first_name": "given", "last_name": "sn"})
    attributes = {"given": "Dave", "sn": "Miller"}

    pair = exchange(browser, get_code(browser, idp, name_id=DAVE, attributes=attributes)).json()

    dave = User.objects.get(email=DAVE)
    assert pair["created"] is True and pair["user"]["workspace_slug"] == "acme"
    assert (dave.name, dave.email_verified_at is not None, dave.has_usable_password()) == ("Dave Miller", True, False)
    assert list(dave.memberships.values_list("workspace__slug", "role")) == [("acme", "field_worker")]
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"member.added", "account.signed_up", "auth.signed_in"} <= actions


def test_a_closed_signup_is_no_obstacle(idp, creating, browser, settings):
    settings.SIGNUP_IS_OPEN = False

    assert came_in(sign_in(browser, idp, name_id=DAVE))


def test_an_account_of_elsewhere_joins_by_an_invitation_alone(acme, idp, creating, browser):
    """The domain may have been another company's when the account was made."""
    dave = User.objects.create_user(DAVE, "correct horse battery staple", name="D", email_verified_at=timezone.now())

    assert refused_by(sign_in(browser, idp, name_id=DAVE)) == "account"
    assert "invite exactly this address" in SamlAttempt.objects.get().checks[-1]["expected"]
    assert (place_of(DAVE), dave.social_auth.exists()) == (None, False)

    invite(acme)
    assert came_in(sign_in(browser, idp, name_id=DAVE))
    dave.refresh_from_db()
    assert (place_of(DAVE), dave.name, dave.has_usable_password()) == ("manager", "D", True)


def test_nobody_becomes_an_owner_by_a_switch(idp, creating, browser):
    IdentityProvider.objects.update(default_role="owner")

    assert came_in(sign_in(browser, idp, name_id=DAVE))
    assert place_of(DAVE) == "member"


def test_attributes_grant_nothing(bob, idp, creating, browser):
    wishes = {"role": "owner", "is_staff": "true", "is_superuser": "1", "groups": ["admins", "owner"]}

    sign_in(browser, idp, attributes=wishes)
    sign_in(browser, idp, name_id=DAVE, attributes=wishes)

    assert (place_of("bob@acme.test"), place_of(DAVE)) == ("field_worker", "field_worker")
    assert not User.objects.exclude(is_staff=False, is_superuser=False).exists()


def test_whoever_was_removed_does_not_come_back_by_the_switch(bob, acme, idp, creating, browser):
    sign_in(browser, idp)
    Membership.objects.filter(user=bob.user).delete()

    assert refused_by(sign_in(browser, idp)) == "membership"
    invite(acme, "bob@acme.test", "member")
    assert came_in(sign_in(browser, idp))
    assert place_of("bob@acme.test") == "member"


@pytest.mark.parametrize("has_account", [False, True])
def test_whoever_is_invited_comes_in_with_the_role_of_the_invitation(acme, idp, creating, browser, has_account):
    if has_account:
        User.objects.create_user(DAVE, "correct horse battery staple", email_verified_at=timezone.now())
    invitation = invite(acme)

    assert came_in(sign_in(browser, idp, name_id=DAVE))

    invitation.refresh_from_db()
    assert (place_of(DAVE), invitation.status) == ("manager", "accepted")
    assert User.objects.get(email=DAVE).email_verified_at is not None


@pytest.mark.parametrize(
    "made",
    [
        lambda acme, other: invite(acme, "dave@elsewhere.test"),
        lambda acme, other: invite(acme, "dave.x@acme.test"),
        lambda acme, other: invite(acme, expires_at=timezone.now()),
        lambda acme, other: invite(acme, revoked_at=timezone.now()),
        lambda acme, other: invite(acme, used_at=timezone.now()),
        lambda acme, other: invite(other),
    ],
    ids=["other domain", "other person", "expired", "revoked", "used", "other workspace"],
)
def test_any_other_invitation_opens_nothing(acme, mallory, idp, connection, browser, made):
    invitation = made(acme, mallory.workspace)

    assert refused_by(sign_in(browser, idp, name_id=DAVE)) == "membership"
    before, invitation = invitation.used_at, Invitation.objects.get()
    assert invitation.used_at == before and not User.objects.filter(email=DAVE).exists()


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


def test_whoever_was_removed_stays_out_whatever_becomes_of_the_connection(alice, bob, acme, idp, creating, browser):
    """They had never signed in by it, or it was made anew since."""
    assert alice.client.delete(f"/api/v1/workspaces/members/{bob.user.id}").status_code == 204

    assert refused_by(sign_in(browser, idp)) == "membership"
    assert "was removed, or left" in SamlAttempt.objects.get().checks[-1]["expected"]
    IdentityProvider.objects.all().delete()
    again = SamlIdp()
    again.configure(acme, creates_members=True)
    assert refused_by(sign_in(browser, again)) == "membership"

    invite(acme, "bob@acme.test", "member")
    assert came_in(sign_in(browser, again))
    assert place_of("bob@acme.test") == "member"
    assert came_in(sign_in(browser, again))  # the removal is forgotten


def test_who_left_by_themselves_too(bob, idp, creating, browser):
    assert bob.client.post("/api/v1/workspaces/leave").status_code == 204

    assert refused_by(sign_in(browser, idp)) == "membership"


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


# Another tenant's provider


@pytest.mark.parametrize("creates", [False, True])
def test_a_provider_that_claims_a_domain_it_has_not_proven_gets_nobody(bob, mallory, browser, creates):
    foreign = SamlIdp(entity_id="https://idp.other.test/saml", key="other")
    foreign.configure(mallory.workspace, creates_members=creates)
    mallory.workspace.domains.create(domain="acme.test")

    for email in ("bob@acme.test", "new@acme.test"):
        url = initiate(browser, "other")
        assert refused_by(post(browser, foreign.respond(url, name_id=email), "other")) == "domain"
    assert place_of("bob@acme.test", "other") is None and not User.objects.filter(email="new@acme.test").exists()


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
