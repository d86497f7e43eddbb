"""Sign-ins at two real identity providers by how these answer: signed, encrypted, with which key and which name."""

from typing import Any

import pytest
from django.core.management import call_command
from playwright.sync_api import Page
from social_django.models import UserSocialAuth

from sso.models import LoginCode, SamlKeyPair, SamlRequest
from tests.support.browser import browse
from tests.support.cast import Actor
from tests.support.oauth import CLIENT_STATE
from tests.support.pysaml2_idp import pysaml2_idp
from tests.support.real_provider_fixtures import (  # noqa: F401 - pytest finds them here
    fixture_api,
    fixture_app,
    fixture_dns,
    fixture_owner,
    fixture_provider,
    fixture_running,
    fixture_sign_in,
    only,
)
from tests.support.real_provider_steps import SIGNED, Owner, leave, read_ours, sign_ins_of_bob
from tests.support.real_providers import BOB, EVE, PERSISTENT, RealProvider

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "answers", [*SIGNED.values(), {"name_id_format": PERSISTENT}], ids=[*SIGNED, "persistent-name-id"]
)
def test_a_member_signs_in(owner: Owner, provider: RealProvider, bob: Actor, sign_in: Any, answers: dict[str, Any]):
    provider.answer(**answers)

    back, traded = sign_in()

    assert (back.keys(), back.get("state")) == ({"code", "state"}, CLIENT_STATE), owner.last_attempt()
    assert (traded["status"], traded["fences"], traded["pair"]["user"]["email"]) == (200, 200, BOB.email)
    assert traded["pair"]["created"] is False
    assert sign_ins_of_bob() == [("saml", "acme")]
    identity = UserSocialAuth.objects.get()
    assert (identity.user, identity.provider[:5], identity.extra_data) == (bob.user, "saml-", {})
    assert (identity.uid == BOB.email) is ("name_id_format" not in answers)
    assert (SamlRequest.objects.count(), LoginCode.objects.count()) == (0, 0)


def test_a_persistent_name_id_is_the_same_each_time(owner: Owner, provider: RealProvider, bob: Actor, sign_in: Any):
    provider.answer(name_id_format=PERSISTENT)

    assert [sign_in()[1]["status"] for _ in range(2)] == [200, 200]
    assert UserSocialAuth.objects.get().user == bob.user


@pytest.mark.parametrize("signed", SIGNED.values(), ids=SIGNED)
def test_an_encrypted_assertion_signs_in_and_a_plain_one_no_more(
    api: str, owner: Owner, provider: RealProvider, sign_in: Any, signed: dict[str, Any]
):
    owner.patch(requires_encryption=True)
    read_ours(api, provider)

    provider.answer(encrypts=True, **signed)
    _, encrypted = sign_in()
    provider.answer(encrypts=False, **signed)
    plain, _ = sign_in()

    assert encrypted is not None, owner.ask("GET", "workspaces/saml-config/attempts")
    assert (encrypted["status"], encrypted["fences"]) == (200, 200)
    assert (plain.keys(), owner.last_attempt()["failed_check"]) == ({"error", "reference", "state"}, "encryption")
    assert sign_ins_of_bob() == [("saml", "acme")]


def test_the_service_changes_its_key_and_a_provider_that_reads_of_it_late_goes_on(
    api: str, owner: Owner, provider: RealProvider, sign_in: Any
):
    """It checks our signatures and encrypts for us, and reads our metadata before the switch and long after it."""
    owner.patch(signs_requests=True, requires_encryption=True)
    call_command("replace_saml_key", "acme", "prepare")
    read_ours(api, provider)
    provider.answer(encrypts=True, wants_signed_requests=True)
    call_command("replace_saml_key", "acme", "switch")

    _, by_what_it_read_before = sign_in()

    former = SamlKeyPair.objects.get(state="former")
    assert by_what_it_read_before["status"] == 200 and former.used_as_former_at is not None, owner.last_attempt()
    read_ours(api, provider)
    former.delete()
    _, by_what_it_reads_now = sign_in()
    assert by_what_it_reads_now["status"] == 200 and SamlKeyPair.objects.get().state == "present"


@only(pysaml2_idp)
def test_an_assertion_encrypted_with_triple_des_is_refused(
    api: str, owner: Owner, provider: RealProvider, sign_in: Any
):
    """It is what pysaml2 uses unless it is told otherwise."""
    owner.patch(requires_encryption=True)
    read_ours(api, provider)
    provider.answer(encrypts=True, signs_assertion=False, cipher="http://www.w3.org/2001/04/xmlenc#tripledes-cbc")

    back, _ = sign_in()

    assert (back["error"], owner.last_attempt()["failed_check"]) == ("sso_failed", "structure")
    assert sign_ins_of_bob() == []


def test_the_provider_changes_its_key(owner: Owner, provider: RealProvider, sign_in: Any):
    provider.answer(announces_next_key=True)
    certificates = owner.import_metadata(provider)["certificates"]
    _, before = sign_in()
    provider.answer(signing_key="next")
    _, after = sign_in()

    assert [certificate["is_expired"] for certificate in certificates] == [False, False]
    assert (before["status"], after["status"]) == (200, 200)


def test_a_key_that_the_owner_has_not_taken_over_is_refused(owner: Owner, provider: RealProvider, sign_in: Any):
    provider.answer(signing_key="next")

    back, _ = sign_in()

    attempt = owner.last_attempt()
    assert (back["error"], back["reference"]) == ("sso_failed", attempt["reference"])
    assert (attempt["failed_check"], attempt["attributes"]) == ("signature", {})
    assert sign_ins_of_bob() == []


def test_the_provider_wants_signed_requests(api: str, owner: Owner, provider: RealProvider, sign_in: Any):
    owner.patch(signs_requests=True)
    read_ours(api, provider)
    provider.answer(wants_signed_requests=True)

    _, traded = sign_in()

    assert (traded["status"], traded["fences"]) == (200, 200)


def test_a_provider_that_wants_signed_requests_refuses_unsigned_ones(
    api: str, app: str, owner: Owner, provider: RealProvider
):
    """So that the test above proves something."""
    owner.patch(signs_requests=True)
    read_ours(api, provider)
    owner.patch(signs_requests=False)
    provider.answer(wants_signed_requests=True)

    def steps(page: Page) -> str:
        leave(page, api, app)
        if page.locator("input[name=password]").count():
            provider.log_in(page, BOB)  # pysaml2's looks at the request when it answers
        page.wait_for_selector(f"text={provider.refusal}")
        return page.url

    assert browse(steps).startswith(str(provider))
    assert sign_ins_of_bob() == []


def test_a_person_of_another_domain_is_refused(owner: Owner, sign_in: Any):
    back, _ = sign_in(EVE)

    attempt = owner.last_attempt()
    assert (back["error"], back["reference"]) == ("sso_failed", attempt["reference"])
    assert attempt["failed_check"] == "domain"
    assert (UserSocialAuth.objects.count(), LoginCode.objects.count()) == (0, 0)
