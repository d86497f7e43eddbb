"""The question that a browser takes to the identity provider."""

from urllib.parse import urlsplit

import pytest
from lxml import etree

from sso.models import IdentityProvider
from sso.saml.keys import get_key_pair
from sso.saml.request import authn_request_url
from tests.support.saml_attacks import ACS, ENTITY
from tests.support.saml_idp import NS, certificate, parse_request
from tests.support.saml_steps import initiate

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db


def test_it_says_who_asks_and_where_the_answer_goes(connection):
    asked = parse_request(authn_request_url(connection, "_id"))

    assert (asked.id, asked.issuer, asked.acs_url) == ("_id", ENTITY, ACS)
    assert asked.destination == connection.sso_url and set(asked.query) == {"SAMLRequest"}
    assert asked.tree.get("ProtocolBinding").endswith(":HTTP-POST") and asked.tree.get("Version") == "2.0"
    policy = asked.tree.find("samlp:NameIDPolicy", NS)
    assert policy.get("Format").endswith(":unspecified") and policy.get("AllowCreate") == "true"
    assert asked.tree.find("samlp:RequestedAuthnContext", NS) is None


def test_it_has_an_id_of_its_own_each_time(connection, browser):
    ids = {parse_request(initiate(browser)).id for _ in range(5)}

    assert len(ids) == 5 and all(len(one) >= 44 and one.startswith("_") for one in ids)  # 256 bits and the underscore


@pytest.mark.parametrize("force", [False, True])
def test_it_asks_for_a_new_login_only_where_it_must(connection, force):
    assert parse_request(authn_request_url(connection, "_id", force)).tree.get("ForceAuthn") == (
        "true" if force else None
    )


def test_it_is_signed_where_the_provider_wants_it(connection, browser):
    assert not parse_request(initiate(browser)).is_signed_by(certificate("sp"))
    IdentityProvider.objects.update(signs_requests=True)

    asked = parse_request(initiate(browser))

    assert set(asked.query) == {"SAMLRequest", "SigAlg", "Signature"}
    assert asked.is_signed_by(get_key_pair(connection.workspace).certificate)
    assert not asked.is_signed_by(certificate("sp"))


@pytest.mark.parametrize(
    "address", ["https://idp.test/sso?tenant=1&x=%20", "https://idp.test/a&b<c>\"d'", "https://idp.test/ž"]
)
def test_an_address_with_a_query_or_special_characters_stays_whole(connection, address):
    connection.sso_url = address

    url = authn_request_url(connection, "_id")

    assert url.startswith(f"{address}{'&' if '?' in address else '?'}SAMLRequest=")
    asked = parse_request(url)
    assert asked.destination == address and urlsplit(url).netloc == "idp.test"
    assert etree.QName(asked.tree).localname == "AuthnRequest"
