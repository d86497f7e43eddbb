"""The official SDK and single sign-on by SAML: an owner configures it, and an app or a page begins a sign-in."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
from lxml import etree

from accounts.models import Workspace
from sso.models import IdentityProvider
from sso.saml import service_provider
from tests.support.app_page import AppPage, app_page
from tests.support.cast import Actor
from tests.support.launch import Server
from tests.support.oauth import CHALLENGED
from tests.support.saml_idp import SamlIdp, parse_request
from tests.support.saml_setup import core
from tests.support.sdk import Client, Driver, Refusal, Sdk, built, from_dict
from tests.support.sdk_operations import exercises

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

NOT_FOUND = Refusal("NotFoundError", 404, "Not found.", "not_found")


@pytest.fixture(scope="module")
def sign_in_page() -> Iterator[AppPage]:
    """The page of an identity provider, to which the SDK follows the redirect."""
    with app_page() as page:
        yield page


@pytest.fixture
def connection(acme: Workspace, sign_in_page: AppPage) -> IdentityProvider:
    return SamlIdp(sso_url=f"{sign_in_page}/sso").configure(acme)


@exercises("workspaces.get_saml_config", "workspaces.upsert_saml_config", "workspaces.delete_saml_config")
def test_an_owner_configures_it(alice_sdk: Client):
    assert alice_sdk.refused("workspaces.get_saml_config") == NOT_FOUND

    made = alice_sdk.call("workspaces.upsert_saml_config", saml_config_in=from_dict("SAMLConfigIn", **core()))

    assert {name: made[name] for name in core()} == core()
    assert (made["is_enabled"], made["domain_verified"]) == (True, False)
    assert made["domain_verification_dns_name"] == "_spatialflow-challenge.acme.test"
    assert alice_sdk.call("workspaces.get_saml_config") == made
    changed = built("SAMLConfigIn", **core(is_enabled=False))
    assert alice_sdk.call("workspaces.upsert_saml_config", saml_config_in=changed)["is_enabled"] is False
    assert alice_sdk.call("workspaces.delete_saml_config") is None
    assert alice_sdk.refused("workspaces.delete_saml_config") == NOT_FOUND


def test_refusals_to_configure(sdk: Sdk, alice_sdk: Client, bob: Actor, acme: Workspace):
    wanted = from_dict("SAMLConfigIn", **core(certificate="not a certificate"))
    invalid = alice_sdk.refused("workspaces.upsert_saml_config", saml_config_in=wanted)
    assert (invalid.kind, invalid.status_code, invalid.error_code) == ("ValidationError", 422, "validation_error")
    assert "PEM" in (invalid.detail or "")

    worker = sdk.client(access_token=bob.pair.access_token)
    forbidden = worker.refused("workspaces.get_saml_config")
    assert (forbidden.kind, forbidden.status_code) == ("PermissionError", 403)

    Workspace.objects.filter(id=acme.id).update(plan="team")
    good = from_dict("SAMLConfigIn", **core())
    assert alice_sdk.refused("workspaces.upsert_saml_config", saml_config_in=good).error_code == "plan_required"


@exercises("auth.saml_metadata")
def test_our_metadata_is_text(anyone_sdk: Client, connection: IdentityProvider):
    text = anyone_sdk.call("auth.saml_metadata", slug="acme")

    assert isinstance(text, str)
    assert etree.fromstring(text.encode()).get("entityID") == service_provider.entity_id(connection.workspace)
    assert anyone_sdk.refused("auth.saml_metadata", slug="nobody") == NOT_FOUND


@exercises("auth.detect_method")
def test_how_somebody_signs_in(anyone_sdk: Client, connection: IdentityProvider):
    def detect(email: str) -> dict[str, str]:
        request = from_dict("DetectMethodRequest", email=email)
        answer: dict[str, str] = anyone_sdk.call("auth.detect_method", detect_method_request=request)
        return answer

    known = detect("nobody@acme.test")
    assert (known["method"], known["workspace_slug"], known["idp_name"]) == ("saml", "acme", "Acme")
    assert detect("nobody@elsewhere.test")["method"] == "password"


@exercises("auth.saml_initiate")
def test_a_browser_is_sent_to_the_identity_provider(
    sdk_driver: Driver, server: Server, connection: IdentityProvider, sign_in_page: AppPage
):
    """By way of the dashboard, which is at the name that PUBLIC_URL has."""
    anyone_sdk = Sdk(sdk_driver, server.replace("127.0.0.1", "localhost")).client()
    anyone_sdk.call("auth.saml_initiate", slug="acme")

    asked = parse_request(f"{sign_in_page}{sign_in_page.visits[-1]}")
    assert (asked.issuer, asked.acs_url) == (
        service_provider.entity_id(connection.workspace),
        service_provider.acs_url(connection.workspace),
    )
    assert anyone_sdk.refused("auth.saml_initiate", slug="nobody") == NOT_FOUND


@exercises("auth.sso_start")
def test_an_app_begins(anyone_sdk: Client, connection: IdentityProvider, sign_in_page: AppPage):
    wanted = {"var_return": "spatialflow://auth/callback", "workspace_slug": "acme", **CHALLENGED}

    anyone_sdk.call("auth.sso_start", **wanted)

    assert "SAMLRequest" in dict(parse_qsl(urlsplit(sign_in_page.visits[-1]).query))
    refusal = anyone_sdk.refused("auth.sso_start", **{**wanted, "var_return": "https://evil.test/"})
    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ValidationError", 400, "invalid_return")


@exercises("auth.saml_acs")
def test_an_answer_without_its_form_is_a_validation_error(anyone_sdk: Client, connection: IdentityProvider):
    refusal = anyone_sdk.refused("auth.saml_acs", slug="acme")

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ValidationError", 400, "sso_failed")
