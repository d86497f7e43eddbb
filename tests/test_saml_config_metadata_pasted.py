"""An identity provider's metadata that an owner pastes: what of it is read, and what is refused."""

import pytest

from tests.support.saml_idp import certificate, fingerprint
from tests.support.saml_setup import (
    BOTH_KEYS,
    CONFIG,
    ENTITY,
    SLO_URL,
    SSO_URL,
    STAGED,
    configured,
    endpoint,
    entities,
    entity,
    invalid,
    key_descriptor,
    patch,
    post,
    serving,
)

pytestmark = pytest.mark.django_db

REDIRECT_ONLY = endpoint("SingleSignOnService", SSO_URL)


def test_metadata_makes_the_connection_and_says_what_it_changed(alice):
    answer = post(alice, "metadata", xml=entity(), covered_domain="acme.test").json()

    assert (answer["entity_id"], answer["sso_url"], answer["slo_url"]) == (ENTITY, SSO_URL, SLO_URL)
    assert [described["pem"] for described in answer["certificates"]] == [certificate("idp")]
    assert (answer["state"], answer["is_enabled"], answer["covered_domain"]) == ("serving", True, "acme.test")
    assert answer["changes"]["sso_url"] == {"from": None, "to": SSO_URL}
    assert answer["changes"]["certificates"]["to"] == [fingerprint(certificate("idp"))]


def test_metadata_changes_the_connection_and_nothing_that_it_does_not_say(alice):
    configured(alice)
    patch(alice, creates_members=True, metadata_url="https://8.8.8.8/metadata")

    answer = post(alice, "metadata", xml=entity(keys=BOTH_KEYS)).json()

    both = [fingerprint(certificate("idp")), fingerprint(certificate("idp-2"))]
    assert answer["changes"] == {
        "certificates": {"from": both[:1], "to": both},
        "metadata_url": {"from": "https://8.8.8.8/metadata", "to": ""},
        "slo_url": {"from": "", "to": SLO_URL},
    }
    assert (answer["creates_members"], answer["covered_domain"]) == (True, "acme.test")


def test_metadata_can_be_staged(alice):
    configured(alice)

    answer = post(alice, "metadata", xml=entity("https://new.test/saml"), staged=True).json()

    assert (answer["state"], answer["entity_id"]) == ("staged", "https://new.test/saml")
    assert alice.client.get(STAGED).json()["id"] == answer["id"]
    assert serving().entity_id == ENTITY


@pytest.mark.parametrize(
    "xml",
    [
        entities(entity()),
        entities(entities(entity()), entity(role="SPSSODescriptor", services="")),
        f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- exported -->{entity()}',
        f"\ufeff  {entity()}\n",
        entity(services=REDIRECT_ONLY),
        entity(attributes='validUntil="2999-01-01T00:00:00Z" cacheDuration="PT6H"'),
        entity(keys=key_descriptor(certificate("idp"), use=None)),
        entity(keys=key_descriptor(certificate("weak"), use="encryption") + key_descriptor(certificate("idp"))),
        entity(keys=key_descriptor(certificate("idp"), chain=[certificate("weak")])),
        entity(protocols="urn:oasis:names:tc:SAML:1.1:protocol urn:oasis:names:tc:SAML:2.0:protocol"),
    ],
)
def test_spellings_of_metadata_that_are_read(alice, xml):
    answer = post(alice, "metadata", xml=xml)

    assert answer.status_code == 200, answer.content
    assert [described["pem"] for described in answer.json()["certificates"]] == [certificate("idp")]


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        ("", "one of them"),
        ("certainly not XML", "not XML"),
        ("<html/>", "No identity provider"),
        (entity(role="SPSSODescriptor"), "not of an SP"),
        (entities(), "No identity provider"),
        (entities(entity(), entity("https://second.test")), "Several"),
        (entity(protocols="urn:oasis:names:tc:SAML:1.1:protocol"), "SAML 2.0"),
        (entity(services=""), "HTTP-Redirect"),
        (entity(services=endpoint("SingleSignOnService", SSO_URL, "HTTP-POST")), "Only HTTP-POST"),
        (entity(keys=""), "no certificate"),
        (entity(keys=key_descriptor(certificate("idp"), use="encryption")), "no certificate"),
        (entity(keys=key_descriptor(certificate("weak"))), "2048"),
        (entity(keys=key_descriptor("x\nnot base64!\nx")), "base64"),
        (entity(keys="".join(key_descriptor(certificate("idp", days=d)) for d in range(50, 61))), "more than 10"),
        (entity(attributes='validUntil="2020-01-01T00:00:00Z"'), "expired"),
        (entity(attributes='validUntil="soon"'), "not a time"),
        (entity(""), "entity ID"),
        (entity(services=endpoint("SingleSignOnService", "http://idp.acme.test/sso")), "https://"),
        (entity(services=endpoint("SingleSignOnService", "javascript:alert(1)")), "https://"),
        (entity(services=REDIRECT_ONLY + endpoint("SingleLogoutService", "ftp://idp.acme.test")), "https://"),
        (f"<!DOCTYPE x>{entity()}", "document type"),
        (f'<!DOCTYPE x [<!ENTITY a "b">]>{entity("&a;")}', "document type"),
        (f'<!DOCTYPE x SYSTEM "file:///etc/passwd">{entity()}', "document type"),
        (f"<!----><!DOCTYPE x>{entity()}", "document type"),
        (entity(keys="<a>" * 100 + "</a>" * 100), "too many"),
        (entity(keys="<a/>" * 30_000), "too many"),
    ],
)
def test_metadata_that_is_refused_says_why_and_changes_nothing(alice, xml, says):
    before = configured(alice)

    assert says in invalid(post(alice, "metadata", xml=xml), "xml")

    assert alice.client.get(CONFIG).json() == before


def test_other_encodings_are_refused(alice):
    declared = f'<?xml version="1.0" encoding="UTF-16"?>{entity()}'

    # The text came in UTF-8, whatever it says of itself.
    assert post(alice, "metadata", xml=declared).status_code == 200


def test_xml_or_url_and_not_both(alice):
    assert "one of them" in invalid(post(alice, "metadata", xml=entity(), url="https://idp.acme.test/"), "xml")
    assert "one of them" in invalid(post(alice, "metadata"), "xml")


def test_our_own_metadata_is_not_theirs(alice):
    own = entity("http://localhost:8000/api/v1/auth/saml/acme/metadata")

    assert "of this service" in invalid(post(alice, "metadata", xml=own), "entity_id")
