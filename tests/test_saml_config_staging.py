"""A second connection beside the serving one: staged, tested by a real sign-in, swapped in, taken back. And how single
sign-on comes to be required, and what cannot be changed from then on.
"""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import SignIn, WorkspaceDomain
from accounts.sso_requirement import BY_RECOVERY, BY_SAML
from sso.models import IdentityProvider, SamlAttempt
from tests.support.cast import Actor
from tests.support.mails import delivered
from tests.support.saml_idp import SamlIdp, certificate
from tests.support.saml_setup import (
    CONFIG,
    ENTITY,
    STAGED,
    changes_of,
    configured,
    entity,
    invalid,
    patch,
    post,
    put,
    refused,
    serving,
    signed_in_by,
)
from tests.support.saml_steps import initiate, sign_in, signed_in_by_saml
from tests.support.saml_steps import post as bring

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

NEW = "https://new.test/saml"
NEW_IDP = SamlIdp(NEW, "idp-2", "https://new.test/sso")
VALID = certificate("idp", days=100)
OVER = certificate("idp-2", days=-2)


def stage(actor: Actor, **changed: Any) -> dict[str, Any]:
    fields = {"entity_id": NEW, "sso_url": NEW_IDP.sso_url, "certificate": NEW_IDP.certificate}
    return configured(actor, STAGED, **{**fields, **changed})


def run_test(actor: Actor, browser: APIClient, idp: SamlIdp, *, staged: bool = False, **said: Any) -> dict[str, Any]:
    """Test a connection as an owner does, and return the attempt that they then read."""
    url = post(actor, "test", staged=staged, next="/settings").json()["url"]
    query = dict(parse_qsl(urlsplit(url).query))
    answer = bring(browser, idp.respond(initiate(browser, **query), **said))
    attempt = dict(parse_qsl(urlsplit(answer["Location"]).query))["attempt"]
    found: dict[str, Any] = actor.client.get(f"{CONFIG}/attempts/{attempt}").json()
    return found


def demand(actor: Actor) -> Actor:
    """Require single sign-on of a connection that works; return the owner, signed in by it."""
    response = patch(actor, is_required=True)
    assert (response.status_code, response.json()["is_required"]) == (200, True), response.content
    return signed_in_by(actor, BY_SAML)


# --- Staging


def test_a_staged_connection_signs_nobody_in_and_shows_beside_the_serving_one(alice, bob, idp, connection, browser):
    staged = stage(alice)

    assert (staged["state"], staged["entity_id"], staged["tested_at"]) == ("staged", NEW, None)
    assert alice.client.get(STAGED).json() == staged
    assert alice.client.get(CONFIG).json()["entity_id"] == ENTITY
    assert initiate(browser).startswith(idp.sso_url)
    sign_in(browser, idp)
    assert signed_in_by_saml() == ["bob@acme.test"]


def test_a_staged_connection_begins_with_the_switches_of_the_serving_one(alice):
    configured(alice)
    patch(alice, preset="okta", creates_members=True, default_role="manager", slo_url="https://idp.acme.test/slo")

    staged = stage(alice)

    assert (staged["preset"], staged["creates_members"], staged["default_role"]) == ("okta", True, "manager")
    assert (staged["attribute_mapping"]["email"], staged["slo_url"]) == ("email", "")
    assert patch(alice, STAGED, creates_members=False).json()["creates_members"] is False
    assert alice.client.get(CONFIG).json()["creates_members"] is True


def test_what_is_staged_tells_nobody_and_is_in_the_trail(alice):
    configured(alice)
    delivered()

    stage(alice)

    assert delivered() == [] and changes_of("sso.staged")["entity_id"] == {"from": None, "to": NEW}
    assert alice.client.delete(STAGED).status_code == 204
    assert delivered() == []
    refused(alice.client.get(STAGED), 404, "not_found")
    assert alice.client.get(CONFIG).status_code == 200


def test_it_is_promoted_once_a_real_sign_in_has_passed(alice, bob, idp, connection, browser):
    stage(alice)
    refused(post(alice, "staged/promote"), 409, "connection_not_tested")
    failed = run_test(alice, browser, NEW_IDP, staged=True, audiences=[["https://elsewhere.test"]])
    assert (failed["succeeded"], failed["failed_check"]) == (False, "audience")
    refused(post(alice, "staged/promote"), 409, "connection_not_tested")

    passed = run_test(alice, browser, NEW_IDP, staged=True)
    delivered()
    promoted = post(alice, "staged/promote")

    assert (passed["succeeded"], passed["provider_state"], passed["attributes"]["NameID"]) == (
        True,
        "staged",
        ["bob@acme.test"],
    )
    assert promoted.json() == alice.client.get(CONFIG).json()
    assert (promoted.json()["entity_id"], promoted.json()["state"]) == (NEW, "serving")
    refused(alice.client.get(STAGED), 404, "not_found")
    assert changes_of("sso.swapped") == {"entity_id": {"from": ENTITY, "to": NEW}}
    assert ["alice@acme.test"] in [mail.to for mail in delivered()]
    assert initiate(browser).startswith(NEW_IDP.sso_url)


def test_a_change_of_the_staged_one_needs_another_test(alice, bob, connection, browser):
    stage(alice)
    run_test(alice, browser, NEW_IDP, staged=True)

    patch(alice, STAGED, attribute_mapping={"email": "mail"})

    refused(post(alice, "staged/promote"), 409, "connection_not_tested")


def test_whoever_signed_in_by_the_former_one_stays_signed_in(alice, bob, idp, connection, browser):
    sign_in(browser, idp)
    stage(alice)
    IdentityProvider.objects.filter(state="staged").update(tested_at=timezone.now())

    post(alice, "staged/promote")

    assert SignIn.objects.live().filter(method="saml", user=bob.user).count() == 1


def test_a_roll_back_brings_the_former_one_back_and_can_be_undone(alice, bob, idp, connection, browser):
    refused(post(alice, "rollback"), 404, "not_found")
    stage(alice)
    IdentityProvider.objects.filter(state="staged").update(tested_at=timezone.now())
    post(alice, "staged/promote")
    third = stage(alice, entity_id="https://third.test/saml")

    assert post(alice, "rollback").json()["entity_id"] == ENTITY
    assert changes_of("sso.rolled_back") == {"entity_id": {"from": NEW, "to": ENTITY}}
    assert initiate(browser).startswith(idp.sso_url)
    assert alice.client.get(STAGED).json() == third
    assert post(alice, "rollback").json()["entity_id"] == NEW


def test_a_second_swap_lets_go_of_the_first_former_one(alice, bob, connection):
    bob.user.social_auth.create(provider=serving().provider_name, uid="bob@acme.test")
    for number in range(2):
        stage(alice, entity_id=f"https://new.test/{number}")
        IdentityProvider.objects.filter(state="staged").update(tested_at=timezone.now())
        assert post(alice, "staged/promote").status_code == 200

    assert sorted(IdentityProvider.objects.values_list("state", "entity_id")) == [
        ("former", "https://new.test/0"),
        ("serving", "https://new.test/1"),
    ]
    assert not bob.user.social_auth.exists()


def test_the_first_connection_can_be_staged_as_well(alice, bob, browser):
    stage(alice)
    WorkspaceDomain.objects.create(workspace=alice.workspace, domain="acme.test", verified_at=timezone.now())
    run_test(alice, browser, NEW_IDP, staged=True)

    assert post(alice, "staged/promote").json()["entity_id"] == NEW
    assert IdentityProvider.objects.count() == 1


def test_a_test_is_of_a_connection_that_is_there(alice, connection):
    refused(post(alice, "test", staged=True), 404, "not_found")
    refused(post(alice, "test", next="https://evil.test/"), 400, "invalid_next")
    assert post(alice, "test").json()["url"].startswith("http://localhost:8000/api/v1/auth/saml/acme/initiate?test=")
    assert changes_of("sso.tested") == {"entity_id": ENTITY, "state": "serving"}


# --- Attempts


def test_attempts_are_listed_newest_first_in_pages(alice, mallory):
    for number in range(5):
        SamlAttempt.objects.create(workspace=alice.workspace, is_test=number % 2 == 0, failed_check=f"{number}")
    SamlAttempt.objects.create(workspace=mallory.workspace, failed_check="theirs")

    def read(**query: Any) -> Any:
        return alice.client.get(f"{CONFIG}/attempts", query).json()

    pages = [read(limit=2)]
    while pages[-1]["next_cursor"]:
        pages.append(read(limit=2, cursor=pages[-1]["next_cursor"]))

    seen = [[attempt["failed_check"] for attempt in page["attempts"]] for page in pages]
    assert seen == [["4", "3"], ["2", "1"], ["0"]]
    assert [attempt["failed_check"] for attempt in read(is_test="true")["attempts"]] == ["4", "2", "0"]
    assert read(succeeded="true")["attempts"] == []
    assert len(read(is_test="false", succeeded="false")["attempts"]) == 2


def test_attempts_of_one_moment_are_each_listed_once(alice):
    moment = timezone.now()
    for _ in range(4):
        SamlAttempt.objects.create(workspace=alice.workspace, created_at=moment)

    first = alice.client.get(f"{CONFIG}/attempts", {"limit": 3}).json()
    second = alice.client.get(f"{CONFIG}/attempts", {"limit": 3, "cursor": first["next_cursor"]}).json()

    assert len({attempt["id"] for attempt in first["attempts"] + second["attempts"]}) == 4
    assert second["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "eHh4", "MjAyNi0wMS0wMSB4", "\u00fc", "MjAyNi0wMS0wMVQwMDowMDowMCAwMDAw"])
def test_a_cursor_of_nobodys_making_is_refused(alice, cursor):
    invalid(alice.client.get(f"{CONFIG}/attempts", {"cursor": cursor}), "cursor")


def test_a_person_reads_the_reference_and_the_owner_the_checks(alice, bob, idp, connection, browser):
    answer = sign_in(browser, idp, {"next": "/welcome"}, recipient="https://elsewhere.test/acs")

    reference = dict(parse_qsl(urlsplit(answer["Location"]).query))["reference"]
    [attempt] = alice.client.get(f"{CONFIG}/attempts").json()["attempts"]
    assert (attempt["reference"], attempt["is_test"], attempt["succeeded"]) == (reference, False, False)
    failed = next(check for check in attempt["checks"] if not check["passed"])
    assert (failed["check"], failed["received"]) == (attempt["failed_check"], "https://elsewhere.test/acs")
    assert failed["expected"].endswith("/saml/acme/acs")
    assert alice.client.get(f"{CONFIG}/attempts/{attempt['id']}").json() == attempt


# --- Requiring single sign-on


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        ({"is_enabled": False}, "connection_not_enabled"),
        ({"tested_at": None}, "connection_not_tested"),
    ],
)
def test_it_is_not_required_before_the_connection_works(alice, acme, connection, missing, code):
    IdentityProvider.objects.update(**missing)

    refused(patch(alice, is_required=True), 409, code)

    acme.refresh_from_db()
    assert not acme.requires_sso


def test_it_is_not_required_without_a_proven_domain(alice, connection):
    WorkspaceDomain.objects.update(verified_at=None)

    refused(patch(alice, is_required=True), 409, "domain_not_proven")


def test_it_is_not_required_with_a_change_that_nobody_has_tested(alice, connection):
    refused(patch(alice, is_required=True, entity_id=NEW), 409, "connection_not_tested")
    assert serving().entity_id == ENTITY


def test_requiring_it_ends_other_sign_ins_and_is_lifted_again(alice, bob, connection):
    owner = demand(alice)

    assert not SignIn.objects.live().filter(method="password").exists()
    assert bob.client.get("/api/v1/account/me").status_code in (401, 403)
    assert patch(owner, is_required=False).json()["is_required"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"entity_id": NEW},
        {"sso_url": "https://new.test/sso"},
        {"attribute_mapping": {"email": "mail"}},
        {"requires_encryption": True},
        {"signs_requests": True},
        {"is_enabled": False},
        {"certificates": [NEW_IDP.certificate]},
        {"preset": "okta"},
    ],
)
def test_while_it_is_required_nothing_untested_is_changed(alice, connection, change):
    owner = demand(alice)
    before = owner.client.get(CONFIG).json()

    refused(patch(owner, **change), 409, "sso_is_required")

    assert owner.client.get(CONFIG).json() == before


def test_while_it_is_required_the_connection_is_not_deleted(alice, connection):
    owner = demand(alice)

    refused(owner.client.delete(CONFIG), 409, "sso_is_required")
    refused(put(owner, entity_id=NEW), 409, "sso_is_required")
    refused(post(owner, "metadata", xml=entity(NEW)), 409, "sso_is_required")
    refused(signed_in_by(alice, BY_RECOVERY).client.delete(CONFIG), 409, "sso_is_required")
    assert serving().entity_id == ENTITY


@pytest.mark.parametrize(
    "change",
    [
        {"creates_members": True},
        {"slo_url": "https://idp.acme.test/slo"},
        {"allows_idp_initiated": True},
        {"certificates": [certificate("idp"), NEW_IDP.certificate]},
        {"refuses_api_keys": True},
    ],
)
def test_while_it_is_required_what_harms_no_sign_in_is_changed(alice, connection, change):
    owner = demand(alice)

    assert patch(owner, **change).status_code == 200
    assert serving().tested_at is not None


def test_while_it_is_required_no_certificate_goes_and_new_ones_come(alice, connection):
    """Not an expired one either: providers go on to sign with theirs."""
    IdentityProvider.objects.update(certificates=[OVER, VALID])
    owner = demand(alice)

    refused(patch(owner, certificates=[VALID]), 409, "sso_is_required")
    refused(patch(owner, certificates=[OVER]), 409, "sso_is_required")
    assert patch(owner, certificates=[VALID, OVER, certificate("idp")]).status_code == 200


def test_while_it_is_required_a_tested_one_is_swapped_in(alice, bob, connection, browser):
    owner = demand(alice)
    stage(owner)
    assert run_test(owner, browser, NEW_IDP, staged=True)["succeeded"] is True

    assert post(owner, "staged/promote").json()["entity_id"] == NEW
    assert post(owner, "rollback").json()["entity_id"] == ENTITY


@pytest.mark.parametrize("broken", [{"is_enabled": False}, {"tested_at": None}])
def test_while_it_is_required_nothing_broken_is_brought_back(alice, connection, broken):
    stage(alice)
    IdentityProvider.objects.filter(state="staged").update(tested_at=timezone.now())
    post(alice, "staged/promote")
    IdentityProvider.objects.filter(state="former").update(**broken)
    owner = demand(alice)

    refused(post(owner, "rollback"), 409, "sso_is_required")
    assert serving().entity_id == NEW


def test_an_owner_by_a_recovery_link_repairs_the_connection_directly(alice, connection):
    demand(alice)
    rescuer = signed_in_by(alice, BY_RECOVERY)

    assert patch(rescuer, sso_url="https://new.test/sso").json()["sso_url"] == "https://new.test/sso"
    refused(patch(rescuer, is_enabled=False), 409, "sso_is_required")
    assert patch(rescuer, is_required=False).json()["is_required"] is False


def test_what_keys_may_do_is_a_setting_of_its_own(alice, acme, connection):
    assert patch(alice, refuses_api_keys=True).json()["refuses_api_keys"] is True
    assert changes_of("sso.configured") == {"refuses_api_keys": {"from": False, "to": True}}
    acme.refresh_from_db()
    assert acme.refuses_keys_under_sso


def test_a_workspace_that_left_the_plan_stops_requiring_it(alice, acme, connection):
    acme.requires_sso, acme.plan = True, "free"
    acme.save()

    refused(patch(alice, is_required=True), 403, "plan_required")
    assert patch(alice, is_required=False).json()["is_required"] is False
