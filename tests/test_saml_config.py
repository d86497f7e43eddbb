"""Owners set the connection to their identity provider: what they may enter, what comes back, who is told."""

import json

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Membership, WorkspaceDomain
from sso.models import IdentityProvider, SamlKeyPair
from tests.support.cast import ADDRESSES, enter
from tests.support.domains import proven_row
from tests.support.mails import delivered
from tests.support.race import at_once, call
from tests.support.saml_idp import certificate, fingerprint, key_pem
from tests.support.saml_setup import (
    CONFIG,
    ENTITY,
    SSO_URL,
    STAGED,
    changes_of,
    configured,
    invalid,
    patch,
    put,
    refused,
    serving,
)

pytestmark = pytest.mark.django_db

OUT = {
    *("id", "entity_id", "sso_url", "certificate", "covered_domain", "is_enabled", "domain_verified"),
    *("domain_verified_at", "domain_verification_dns_name", "domain_verification_dns_value", "created_at"),
    "updated_at",
}


def test_there_is_none_at_first(alice):
    refused(alice.client.get(CONFIG), 404, "not_found")
    refused(patch(alice, signs_requests=True), 404, "not_found")
    refused(alice.client.delete(CONFIG), 404, "not_found")


def test_an_owner_connects_the_identity_provider(alice):
    answer = configured(alice)

    assert answer == alice.client.get(CONFIG).json() and answer.keys() >= OUT
    assert (answer["entity_id"], answer["sso_url"], answer["state"]) == (ENTITY, SSO_URL, "serving")
    assert (answer["is_enabled"], answer["is_required"], answer["tested_at"]) == (True, False, None)
    assert (answer["covered_domain"], answer["domain_verified"], answer["domain_verified_at"]) == (
        "acme.test",
        False,
        None,
    )
    claim = WorkspaceDomain.objects.get()
    assert answer["domain_verification_dns_name"] == "_spatialflow-challenge.acme.test"
    assert answer["domain_verification_dns_value"] == f"spatialflow-domain-verification={claim.token}"
    assert [domain["domain"] for domain in answer["domains"]] == ["acme.test"]
    off = ("creates_members", "allows_idp_initiated", "signs_requests", "requires_encryption", "refuses_api_keys")
    assert not any(answer[name] for name in off)
    assert (answer["default_role"], answer["preset"], answer["attribute_mapping"]) == ("member", "custom", {})
    assert changes_of("sso.configured")["entity_id"] == {"from": None, "to": ENTITY}


def test_our_own_addresses_come_from_the_settings(alice, settings):
    ours = configured(alice)["service_provider"]

    base = f"{settings.PUBLIC_URL}/api/v1/auth/saml/acme"
    assert (ours["entity_id"], ours["metadata_url"]) == (f"{base}/metadata", f"{base}/metadata")
    assert (ours["acs_url"], ours["slo_url"], ours["initiate_url"]) == (
        f"{base}/acs",
        f"{base}/slo",
        f"{base}/initiate",
    )
    assert ours["certificate"].startswith("-----BEGIN CERTIFICATE-----")


def test_what_to_enter_there_is_known_before_anything_is_configured(alice):
    before = alice.client.get(f"{CONFIG}/service-provider").json()

    assert before == configured(alice)["service_provider"]


def test_the_private_key_is_stored_encrypted_and_never_shown(alice):
    answer = configured(alice)

    [pair] = SamlKeyPair.objects.all()
    assert "PRIVATE" not in json.dumps(answer) and "PRIVATE" not in pair.private_key
    assert pair.certificate == answer["service_provider"]["certificate"]


@pytest.mark.django_db(transaction=True)
def test_requests_at_once_make_one_key_pair(alice, server):
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answers = at_once(6, lambda _: call(server, "GET", f"{CONFIG}/service-provider", headers=headers))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["certificate"] for answer in answers}) == 1 and SamlKeyPair.objects.count() == 1


def test_certificates_are_described(alice):
    valid, over = certificate("idp", days=100), certificate("idp-2", days=-3)

    answer = configured(alice, certificate=f"{valid}\n{over}")

    first, second = answer["certificates"]
    assert (first["subject"], first["sha256_fingerprint"], first["pem"]) == (
        "CN=idp.idp.test",
        fingerprint(valid),
        valid,
    )
    assert (first["expires_in_days"], first["is_expired"]) == (99, False)
    assert (second["expires_in_days"], second["is_expired"]) == (-4, True)
    assert answer["certificate"] == valid + over


def test_what_get_answers_put_takes_back_without_a_change(alice):
    answer = configured(alice, certificate=certificate("idp") + certificate("idp-2"))
    events = AuditEvent.objects.count()

    response = alice.client.put(CONFIG, answer, format="json")

    assert response.json()["certificates"] == answer["certificates"]
    assert AuditEvent.objects.count() == events


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("entity_id", "", "blank"),
        ("entity_id", "x" * 1025, "1024"),
        ("entity_id", "idp\u202eacme", "entity ID"),
        ("entity_id", "http://localhost:8000/api/v1/auth/saml/acme/metadata", "of this service"),
        ("sso_url", "http://idp.acme.test/sso", "https://"),
        ("sso_url", "https://user:pw@idp.acme.test/sso", "without a user name"),
        ("sso_url", "https://idp.acme.test/sso#there", "#"),
        ("sso_url", "javascript:alert(1)", "https://"),
        ("sso_url", "https://idp.acme.test\\@evil.test/", "https://"),
        ("sso_url", "https://idp.acme.test/\r\nX: y", "https://"),
        ("sso_url", "https://idp.acme.test:99999/", "https://"),
        ("sso_url", "https://idp.acme.test/" + "x" * 2000, "2000"),
        ("certificate", "", "blank"),
        ("certificate", "not a certificate", "PEM"),
        ("certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "cannot be read"),
        ("certificate", "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----", "base64"),
        ("covered_domain", "no domain", "behind the @"),
        ("covered_domain", "gmail.com", "Anybody"),
        ("covered_domain", {}, "string"),
        ("is_enabled", "true", "true or false"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(alice, field, value, says):
    assert says in invalid(put(alice, **{field: value}), field)
    assert not IdentityProvider.objects.exists()
    configured(alice)


@pytest.mark.parametrize(
    "url", ["https://idp.acme.test/sso?tenant=1", "https://idp.acme.test:8443/sso", "http://localhost:8461/sso"]
)
def test_addresses_of_identity_providers(alice, url):
    assert configured(alice, sso_url=url)["sso_url"] == url


def test_a_weak_key_is_refused_and_curves_are_taken(alice):
    assert "2048" in invalid(put(alice, certificate=certificate("weak")), "certificate")
    assert len(configured(alice, certificate=certificate("ec-idp"))["certificates"]) == 1


def test_a_private_key_is_refused_and_is_in_no_answer(alice):
    secret = key_pem("idp")

    response = put(alice, certificate=certificate("idp") + secret)

    assert "Replace that key" in invalid(response, "certificate")
    assert secret.splitlines()[5] not in response.content.decode()


def test_at_most_ten_certificates(alice):
    eleven = [certificate("idp", days=days) for days in range(100, 111)]

    assert "10" in invalid(put(alice, certificate="".join(eleven)), "certificate")
    assert len(configured(alice, certificate="".join(eleven[:10]))["certificates"]) == 10
    assert "10" in invalid(patch(alice, certificates=["".join(eleven[:6]), "".join(eleven[5:])]), "certificates")


def test_a_domain_that_another_workspace_has_proven_is_refused(alice, mallory):
    proven_row(mallory.workspace, "acme.test")

    refused(put(alice), 400, "domain_taken")

    assert not IdentityProvider.objects.exists()
    assert configured(alice, covered_domain="acme.example")["covered_domain"] == "acme.example"


def test_putting_again_replaces_the_core_and_nothing_else(alice):
    first = configured(alice)
    patch(alice, preset="okta", creates_members=True)

    second = configured(alice, entity_id="https://new.test/saml", covered_domain="second.test")

    assert (second["id"], second["entity_id"], second["covered_domain"]) == (
        first["id"],
        "https://new.test/saml",
        "second.test",
    )
    assert (second["preset"], second["creates_members"]) == ("okta", True)
    assert [domain["domain"] for domain in second["domains"]] == ["second.test", "acme.test"]


def test_the_nulls_of_the_sdk_are_no_values(alice):
    assert configured(alice, is_enabled=None)["is_enabled"] is True
    assert patch(alice, is_enabled=None, slo_url=None, certificates=None, preset=None).json()["is_enabled"] is True


def test_everything_else_is_patched(alice):
    configured(alice)
    wanted = {
        "certificates": [certificate("idp"), certificate("idp-2")],
        "slo_url": "https://idp.acme.test/slo",
        "metadata_url": "https://8.8.8.8/metadata",
        "preset": "entra",
        "attribute_mapping": {"email": "mail", "first_name": "given"},
        "default_role": "field_worker",
        "creates_members": True,
        "allows_idp_initiated": True,
        "signs_requests": True,
        "requires_encryption": True,
        "is_enabled": False,
        "refuses_api_keys": True,
    }

    answer = patch(alice, **wanted).json()

    assert {name: answer[name] for name in wanted if name != "certificates"} == {
        name: value for name, value in wanted.items() if name != "certificates"
    }
    assert [described["pem"] for described in answer["certificates"]] == wanted["certificates"]
    assert answer["entity_id"] == ENTITY
    assert patch(alice, slo_url="", metadata_url="").json()["slo_url"] == ""


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("certificates", [], "certificates"),
        ("certificates", ["not a certificate"], "certificates.0"),
        ("slo_url", "ftp://idp.acme.test/", "slo_url"),
        ("metadata_url", "http://localhost/metadata", "metadata_url"),
        ("preset", "keycloak", "preset"),
        ("attribute_mapping", {"role": "role"}, "attribute_mapping"),
        ("attribute_mapping", {"email": ""}, "attribute_mapping.email"),
        ("attribute_mapping", {"email": "a\u0007b"}, "attribute_mapping"),
        ("default_role", "owner", "default_role"),
        ("creates_members", "often", "creates_members"),
        ("entity_id", "", "entity_id"),
    ],
)
def test_what_cannot_be_patched_is_refused_by_its_field(alice, field, value, named):
    before = configured(alice)

    invalid(patch(alice, **{field: value}), named)

    assert alice.client.get(CONFIG).json() == before


def test_a_preset_fills_the_mapping_unless_one_is_given(alice):
    configured(alice)

    assert patch(alice, preset="okta").json()["attribute_mapping"]["first_name"] == "firstName"
    assert patch(alice, preset="google", attribute_mapping={"name": "cn"}).json()["attribute_mapping"] == {"name": "cn"}


def test_the_presets_are_listed(alice):
    presets = {preset["name"]: preset for preset in alice.client.get(f"{CONFIG}/presets").json()["presets"]}

    assert presets.keys() == {"okta", "entra", "onelogin", "google", "custom"}
    assert presets["entra"]["attribute_mapping"]["email"].endswith("/claims/emailaddress")
    assert all(preset["steps"] and preset["name_id"] for preset in presets.values())


@pytest.mark.parametrize(
    ("change", "still_tested"),
    [
        ({"slo_url": "https://idp.acme.test/slo"}, True),
        ({"creates_members": True}, True),
        ({"certificates": [certificate("idp"), certificate("idp-2")]}, True),
        ({"is_enabled": False}, True),
        ({"certificates": [certificate("idp-2")]}, False),
        ({"entity_id": "https://other.test/saml"}, False),
        ({"sso_url": "https://other.test/sso"}, False),
        ({"attribute_mapping": {"email": "mail"}}, False),
        ({"requires_encryption": True}, False),
        ({"signs_requests": True}, False),
    ],
)
def test_a_change_of_what_was_tested_needs_another_test(alice, change, still_tested):
    configured(alice)
    IdentityProvider.objects.update(tested_at="2026-11-01T00:00:00Z")

    assert (patch(alice, **change).json()["tested_at"] is not None) is still_tested


@pytest.mark.parametrize("plan", ["free", "pro", "team"])
def test_other_plans_may_look_and_switch_off_but_not_configure(alice, acme, plan):
    configured(alice)
    acme.plan = plan
    acme.save()

    refused(put(alice), 403, "plan_required")
    refused(patch(alice, signs_requests=True), 403, "plan_required")
    refused(put(alice, STAGED), 403, "plan_required")
    refused(alice.client.post(f"{CONFIG}/test", {}, format="json"), 403, "plan_required")
    assert alice.client.get(CONFIG).status_code == 200
    assert patch(alice, is_enabled=False).json()["is_enabled"] is False
    assert alice.client.delete(CONFIG).status_code == 204


def test_enterprise_may_as_well(alice, acme):
    acme.plan = "enterprise"
    acme.save()

    configured(alice)


def test_no_api_key_configures(alice):
    refused(alice.key_client().put(CONFIG, {}, format="json"), 403, "insufficient_permissions")
    refused(APIClient().get(CONFIG), 401, "not_authenticated")


def test_an_owner_of_another_workspace_sees_and_touches_only_their_own(alice, mallory):
    configured(alice)

    refused(mallory.client.get(CONFIG), 404, "not_found")
    refused(mallory.client.delete(CONFIG), 404, "not_found")
    theirs = configured(mallory, entity_id=ENTITY, covered_domain="other.test")

    assert theirs["service_provider"]["acs_url"].endswith("/saml/other/acs")
    assert IdentityProvider.objects.count() == 2


def test_deleting_takes_the_identities_along_that_it_has_bound(alice, bob):
    configured(alice)
    bob.user.social_auth.create(provider=serving().provider_name, uid="bob")
    bob.user.social_auth.create(provider="google", uid="bob")

    assert alice.client.delete(CONFIG).status_code == 204

    assert list(bob.user.social_auth.values_list("provider", flat=True)) == ["google"]
    assert changes_of("sso.deleted") == {"entity_id": ENTITY, "state": "serving", "sign_ins_ended": 0}
    refused(alice.client.get(CONFIG), 404, "not_found")


def test_every_owner_is_told_of_each_change(alice, bob, acme):
    ADDRESSES.setdefault("olga", "olga@acme.test")
    enter("olga", "owner", acme)
    configured(alice)
    delivered()

    patch(alice, sso_url="https://other.test/sso")

    mails = delivered()
    assert {address for mail in mails for address in mail.to} == {"alice@acme.test", "olga@acme.test"}
    assert all("sso_url" in mail.body and "Acme" in mail.subject for mail in mails)
    patch(alice, sso_url="https://other.test/sso")
    assert delivered() == []
    alice.client.delete(CONFIG)
    assert ["was deleted" in mail.body for mail in delivered()] == [True, True]


def test_the_trail_names_what_changed_and_holds_no_certificate_and_no_query(alice):
    configured(alice)
    Membership.objects.filter(user=alice.user).update(role="owner")

    patch(alice, certificates=[certificate("idp-2")], metadata_url="https://8.8.8.8/m?token=secret")

    changes = changes_of("sso.configured")
    assert changes["certificates"] == {
        "from": [fingerprint(certificate("idp"))],
        "to": [fingerprint(certificate("idp-2"))],
    }
    assert changes["metadata_url"] == {"from": "", "to": "https://8.8.8.8/m"}
    assert changes.keys() == {"certificates", "metadata_url"}
