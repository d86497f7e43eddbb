"""Our own metadata, which is there for anybody once an identity provider is configured."""

import base64
import functools
from pathlib import Path

import onelogin.saml2
import pytest
from cryptography import x509
from django.utils import timezone
from lxml import etree
from rest_framework.test import APIClient

from sso.models import SamlKeyPair
from tests.support.saml_setup import STAGED, configured, patch

pytestmark = pytest.mark.django_db

MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
OURS = "/api/v1/auth/saml/{slug}/metadata"


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
