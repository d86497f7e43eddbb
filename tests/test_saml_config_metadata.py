"""Metadata both ways: an identity provider's is pasted, or fetched and read again daily; ours is there for anybody."""

import base64
import functools
import socket
import time
from pathlib import Path
from typing import Any

import onelogin.saml2
import pytest
from cryptography import x509
from django.utils import timezone
from lxml import etree
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from sso.models import IdentityProvider, SamlKeyPair
from sso.saml_metadata_import import reread
from tests.support.mails import delivered
from tests.support.saml_idp import certificate, fingerprint
from tests.support.saml_setup import (
    CONFIG,
    ENTITY,
    SLO_URL,
    SSO_URL,
    STAGED,
    changes_of,
    configured,
    endpoint,
    entities,
    entity,
    invalid,
    key_descriptor,
    patch,
    post,
    refused,
    serving,
)
from tests.support.tls_site import answering

pytest_plugins = ["tests.support.metadata_site"]
pytestmark = pytest.mark.django_db

MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
OURS = "/api/v1/auth/saml/{slug}/metadata"
NEW_KEY = key_descriptor(certificate("idp-2"))
BOTH_KEYS = key_descriptor(certificate("idp")) + NEW_KEY
REDIRECT_ONLY = endpoint("SingleSignOnService", SSO_URL)


# --- Pasted


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


# --- Fetched


def test_metadata_is_fetched_and_its_address_kept(alice, site):
    answer = post(alice, "metadata", url=site.url("/m?tenant=1")).json()

    assert (answer["entity_id"], answer["metadata_url"]) == (ENTITY, site.url("/m?tenant=1"))
    assert answer["metadata_read_at"] is not None and answer["metadata_problem"] == ""
    assert site.requests == [("/m?tenant=1", f"localhost:{site.port}")]
    assert changes_of("sso.configured")["metadata_url"]["to"] == site.url("/m")


def test_a_redirect_is_not_followed(alice, site):
    site.answer = answering("", 302, Location=site.url("/elsewhere"))

    sentence = refused(post(alice, "metadata", url=site.url()), 422, "metadata_not_readable")

    assert "redirect" in sentence and [path for path, _ in site.requests] == ["/metadata"]


def drip(handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (answering("gone", 404), "404"),
        (answering(" " * (1024 * 1024 + 1)), "1 MiB"),
        (lambda handler: handler.wfile.write(b"no http"), "does not answer"),
        (lambda handler: None, "does not answer"),
    ],
)
def test_an_answer_that_is_no_document(alice, site, answer, says):
    site.answer = answer

    response = post(alice, "metadata", url=site.url())

    assert says in refused(response, 422, "metadata_not_readable")
    assert list(response.json()["details"]) == ["url"]
    assert not IdentityProvider.objects.exists()


def test_an_answer_that_drips_is_given_up_after_five_seconds(alice, site):
    site.answer = drip
    began = time.monotonic()

    refused(post(alice, "metadata", url=site.url()), 422, "metadata_not_readable")

    assert 4.5 < time.monotonic() - began < 7


def test_a_handshake_that_never_ends_is_given_up(alice, site):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}/"
        began = time.monotonic()

        refused(post(alice, "metadata", url=url), 422, "metadata_not_readable")

    assert time.monotonic() - began < 7


def test_a_document_that_is_no_metadata_is_refused_by_the_address(alice, site):
    site.answer = answering("<html/>")

    assert "No identity provider" in invalid(post(alice, "metadata", url=site.url()), "url")


def test_a_certificate_must_hold_for_the_name(alice, site, monkeypatch):
    assert "certificate" in refused(
        post(alice, "metadata", url=site.url(host="127.0.0.1")), 422, "metadata_not_readable"
    )
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate" in refused(post(alice, "metadata", url=site.url()), 422, "metadata_not_readable")
    assert site.requests == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]"])
def test_this_machine_is_not_asked(alice, site, settings, host):
    settings.IDENTITY_PROVIDER_NETWORKS = []

    assert "no public address" in refused(
        post(alice, "metadata", url=site.url(host=host)), 422, "metadata_not_readable"
    )
    assert site.requests == []


@pytest.mark.parametrize(
    "host",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"),  # noqa: S104
        *("255.255.255.255", "198.18.0.1", "192.0.2.1", "240.0.0.1"),
        *("[fe80::1]", "[fe80::1%25lo]", "[fc00::1]", "[ff02::1]", "[::]", "[::ffff:10.0.0.1]", "[::10.0.0.1]"),
        *("[64:ff9b::a00:1]", "[64:ff9b:1::1]", "[2002:a00:1::]", "[2001:0:a00:1::]", "[2001:db8::1]"),
        *("[::ffff:8.8.8.8]", "nowhere.invalid"),
    ],
)
def test_no_address_inside_or_in_disguise_is_asked(alice, host):
    began = time.monotonic()

    sentence = refused(post(alice, "metadata", url=f"https://{host}/metadata"), 422, "metadata_not_readable")

    assert "no public address" in sentence
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://localhost/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "//localhost/",
            "https:///metadata",
            "https://",
        ),
        *("https://user:pw@localhost/", "https://[::1/", "https://localhost:x/", "https://b\u00fccher.test/"),
    ],
)
def test_only_plain_https_addresses_are_asked(alice, site, url):
    refused(post(alice, "metadata", url=url), 422, "metadata_not_readable")


def test_fetches_are_limited_by_workspace(alice, mallory, site, settings):
    settings.IDENTITY_PROVIDER_NETWORKS = []
    codes = [post(alice, "metadata", url=site.url()).status_code for _ in range(21)]

    assert codes == [422] * 20 + [429]
    assert post(mallory, "metadata", url=site.url()).status_code == 422
    assert post(alice, "metadata", xml=entity()).status_code == 200


# --- Read again daily


def pems(provider: IdentityProvider) -> list[str]:
    provider.refresh_from_db()
    return list(provider.certificates)


def test_what_is_the_same_changes_and_tells_nothing(followed, site):
    events, read_at = AuditEvent.objects.count(), followed.metadata_read_at

    reread(followed)

    followed.refresh_from_db()
    assert followed.metadata_read_at > read_at and followed.tested_at is not None
    assert AuditEvent.objects.count() == events and delivered() == []


def test_new_certificates_come_and_former_ones_go(followed, site):
    site.answer = answering(entity(keys=BOTH_KEYS))
    reread(followed)
    assert pems(followed) == [certificate("idp"), certificate("idp-2")] and followed.tested_at is not None
    [mail] = delivered()
    assert mail.to == ["alice@acme.test"] and "metadata" in mail.body and "certificates" in mail.body

    site.answer = answering(entity(keys=NEW_KEY))
    reread(followed)

    assert pems(followed) == [certificate("idp-2")]
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.actor_id) == ("sso.configured", None)
    assert event.changes["certificates"]["to"] == [fingerprint(certificate("idp-2"))]


def test_while_it_is_required_valid_certificates_stay(followed, site, acme):
    acme.requires_sso = True
    acme.save()
    IdentityProvider.objects.update(certificates=[certificate("idp"), certificate("idp-2", days=-1)], metadata_said={})
    site.answer = answering(entity(keys=key_descriptor(certificate("idp-3"))))

    reread(followed)

    assert pems(followed) == [certificate("idp"), certificate("idp-3")]
    assert followed.metadata_problem == ""


def test_while_it_is_required_another_sign_in_address_is_not_taken_over(followed, site, acme):
    acme.requires_sso = True
    acme.save()
    site.answer = answering(entity(keys=BOTH_KEYS, services=endpoint("SingleSignOnService", "https://new.test/sso")))

    reread(followed)

    followed.refresh_from_db()
    assert followed.sso_url == SSO_URL and followed.certificates == [certificate("idp")]
    assert "not changed untested" in followed.metadata_problem


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (answering(entity("https://other.test/saml")), "another entity ID"),
        (answering(entity(keys="")), "no certificate"),
        (answering("<html/>"), "No identity provider"),
        (answering("", 500), "500"),
        (answering(entity(services=endpoint("SingleSignOnService", "javascript:1"))), "cannot be used"),
    ],
)
def test_a_reading_that_fails_keeps_the_connection_and_tells_owners_once(followed, site, answer, says):
    site.answer = answer
    before = IdentityProvider.objects.values(
        "entity_id", "sso_url", "certificates", "tested_at", "metadata_read_at"
    ).get()

    reread(followed)
    reread(followed)

    followed.refresh_from_db()
    assert says in followed.metadata_problem
    assert {name: getattr(followed, name) for name in before} == before
    assert ["sign-in" in mail.body.lower() and mail.to for mail in delivered()] == [["alice@acme.test"]]
    site.answer = answering(entity())
    reread(followed)
    followed.refresh_from_db()
    assert followed.metadata_problem == ""


def test_what_an_owner_has_changed_meanwhile_is_left_alone(alice, followed, site):
    stale = serving()
    patch(alice, metadata_url="")
    site.answer = answering(entity(keys=NEW_KEY))

    reread(stale)

    assert pems(followed) == [certificate("idp")]


# --- Ours


@functools.cache
def schema() -> etree.XMLSchema:
    folder = Path(onelogin.saml2.__file__).parent / "schemas"
    return etree.XMLSchema(etree.parse(folder / "saml-schema-metadata-2.0.xsd"))


def read_ours(slug: str = "acme") -> etree._Element:
    response = APIClient().get(OURS.format(slug=slug))
    assert (response.status_code, response["Content-Type"]) == (200, "text/xml; charset=utf-8")
    tree = etree.fromstring(response.content)
    schema().assertValid(tree)
    return tree


def uses(tree: etree._Element) -> list[str]:
    return [key.get("use") for key in tree.iter(f"{MD}KeyDescriptor")]


def test_our_metadata_names_what_the_configuration_names(alice):
    ours = configured(alice)["service_provider"]

    tree = read_ours()

    consumer, logout = tree.find(f".//{MD}AssertionConsumerService"), tree.find(f".//{MD}SingleLogoutService")
    assert (tree.get("entityID"), consumer.get("Location")) == (ours["entity_id"], ours["acs_url"])
    assert consumer.get("Binding").endswith(":HTTP-POST") and logout.get("Binding").endswith(":HTTP-Redirect")
    assert logout.get("Location") == ours["slo_url"]
    [role] = tree
    assert (role.get("WantAssertionsSigned"), role.get("AuthnRequestsSigned")) == ("true", "false")
    assert uses(tree) == []


@pytest.mark.parametrize(
    ("change", "offered"),
    [
        ({"signs_requests": True}, ["signing"]),
        ({"slo_url": "https://idp.acme.test/slo"}, ["signing"]),
        ({"requires_encryption": True}, ["encryption"]),
        ({"signs_requests": True, "requires_encryption": True}, ["signing", "encryption"]),
    ],
)
def test_our_certificate_is_offered_where_it_is_used(alice, change, offered):
    configured(alice)
    patch(alice, **change)

    tree = read_ours()

    assert uses(tree) == offered
    stored = x509.load_pem_x509_certificate(SamlKeyPair.objects.get().certificate.encode())
    texts = {element.text for element in tree.iter("{http://www.w3.org/2000/09/xmldsig#}X509Certificate")}
    assert {x509.load_der_x509_certificate(base64.b64decode(text)) for text in texts} == {stored}


def test_what_is_staged_shows_in_our_metadata_so_that_it_can_be_set_up(alice):
    configured(alice)
    configured(alice, STAGED)
    patch(alice, STAGED, requires_encryption=True)

    assert uses(read_ours()) == ["encryption"]


def test_where_nothing_is_configured_there_is_no_more_than_where_nobody_is(alice, acme, anyone):
    def ask(slug: str) -> tuple[int, bytes]:
        response = anyone.get(OURS.format(slug=slug))
        return response.status_code, response.content

    nobody = ask("nobody")

    assert nobody[0] == 404 and ask("acme") == nobody == ask("ACME") == ask("ac%20me") == ask("x" * 300)
    configured(alice)
    assert ask("acme")[0] == 200
    acme.plan = "team"
    acme.save()
    assert ask("acme") == nobody
    acme.plan, acme.suspended_at = "business", timezone.now()
    acme.save()
    assert ask("acme") == nobody


def test_our_metadata_is_under_no_limit(alice, anyone):
    configured(alice)

    answers = [anyone.get(OURS.format(slug="acme")) for _ in range(120)]

    assert {answer.status_code for answer in answers} == {200}
    assert not any("RateLimit-Limit" in answer for answer in answers)
