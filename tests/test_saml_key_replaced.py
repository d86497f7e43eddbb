"""The operator replaces the key of a workspace's service provider: step by step, so that nobody is locked out, or at
once.
"""

import base64
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from lxml import etree

from accounts.models import AuditEvent
from spatialflow import clock
from spatialflow.encryption import encrypt
from sso.models import IdentityProvider, SamlAttempt, SamlKeyPair
from sso.saml.request import authn_request_url
from tests.support import saml_idp
from tests.support.saml_idp import SamlIdp, key_pem, parse_request
from tests.support.saml_setup import CONFIG
from tests.support.saml_steps import came_in, refused_by, sign_in

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db
METADATA = "/api/v1/auth/saml/acme/metadata"
MD, DS = "{urn:oasis:names:tc:SAML:2.0:metadata}", "{http://www.w3.org/2000/09/xmldsig#}"


@pytest.fixture(name="connection")
def fixture_connection(connection: IdentityProvider) -> IdentityProvider:
    """A connection that signs what it asks and is answered encrypted, with the key of many tests."""
    IdentityProvider.objects.update(signs_requests=True, requires_encryption=True)
    connection.refresh_from_db()
    row = {"private_key": encrypt(key_pem("sp")), "certificate": saml_idp.certificate("sp")}
    SamlKeyPair.objects.create(workspace=connection.workspace, **row)
    return connection


def replace(*steps: str) -> list[str]:
    """Take steps, and return the last one's lines that say which keys there are."""
    for step in steps or ("",):
        output = StringIO()
        call_command("replace_saml_key", "acme", *filter(None, [step]), stdout=output)
    return [line.partition(",")[0] for line in output.getvalue().splitlines() if ", made " in line]


def certificate(state: str) -> str:
    return str(SamlKeyPair.objects.get(state=state).certificate)


def published(anyone: Any) -> dict[str, list[str]]:
    """Return the certificates of our metadata by what they are for, in PEM."""
    found: dict[str, list[str]] = {"signing": [], "encryption": []}
    for key in etree.fromstring(anyone.get(METADATA).content).iter(f"{MD}KeyDescriptor"):
        der = base64.b64decode(key.findtext(f"{DS}KeyInfo/{DS}X509Data/{DS}X509Certificate"))
        lines = base64.encodebytes(der).decode().replace("\n", "")
        pem = "\n".join(lines[i : i + 64] for i in range(0, len(lines), 64))
        found[key.get("use")].append(f"-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n")
    return found


def signed_by(connection: IdentityProvider, pem: str) -> bool:
    return parse_request(authn_request_url(connection, "_asked")).is_signed_by(pem)


def test_the_next_certificate_is_published_before_anything_is_signed_by_it(alice, connection, anyone):
    present = certificate("present")

    assert replace("prepare") == replace("prepare") == replace() == ["present", "next"]  # twice is once

    upcoming = certificate("next")
    assert published(anyone) == {"signing": [present, upcoming], "encryption": [present]}
    assert signed_by(connection, present) and not signed_by(connection, upcoming)
    told = alice.client.get(f"{CONFIG}/service-provider").json()
    assert (told["certificate"], told["next_certificate"]) == (present, upcoming)


def test_the_former_one_stays_published_until_it_is_let_go(alice, connection, anyone):
    first = certificate("present")
    replace("prepare")
    second = certificate("next")

    assert replace("switch") == ["former", "present"]
    assert published(anyone) == {"signing": [second, first], "encryption": [second]}
    assert signed_by(connection, second) and not signed_by(connection, first)
    assert alice.client.get(f"{CONFIG}/service-provider").json()["next_certificate"] is None

    assert replace("finish") == ["present"]
    assert published(anyone) == {"signing": [second], "encryption": [second]}
    assert signed_by(connection, second)


def test_a_switch_can_be_undone(connection, anyone):
    first = certificate("present")
    replace("prepare", "switch")
    second = certificate("present")

    assert replace("back") == ["present", "next"]

    assert published(anyone) == {"signing": [first, second], "encryption": [first]}
    assert signed_by(connection, first)
    assert replace("switch", "finish") == ["present"] and certificate("present") == second


def test_whoever_encrypts_for_the_other_one_signs_in_at_every_step(bob, idp: SamlIdp, connection, browser):
    """And the former key stays for as long as somebody does."""
    first = certificate("present")
    replace("prepare")
    second = certificate("next")
    assert came_in(sign_in(browser, idp, encrypt_for=second))  # entered by hand, early
    replace("switch", "back")
    assert came_in(sign_in(browser, idp, encrypt_for=second))
    replace("switch")
    assert came_in(sign_in(browser, idp, encrypt_for=first))  # metadata read late

    with pytest.raises(CommandError, match="encrypted for the former certificate at"):
        replace("finish")
    SamlKeyPair.objects.filter(state="former").update(used_as_former_at=clock.now() - timedelta(days=7, seconds=1))
    assert replace("finish") == ["present"]
    assert came_in(sign_in(browser, idp, encrypt_for=second))
    assert refused_by(sign_in(browser, idp, encrypt_for=first)) == "encryption"


def test_nobody_but_the_provider_keeps_a_key_by_encrypting_for_it(bob, idp: SamlIdp, connection, browser):
    first = certificate("present")
    replace("prepare", "switch")

    refused = sign_in(browser, idp, encrypt_for=first, key="elsewhere")

    assert refused_by(refused) == "signature"
    assert SamlAttempt.objects.get().checks[4]["received"].startswith("encrypted for our former certificate")
    assert replace("finish") == ["present"]


def test_a_key_that_leaked_is_replaced_at_once(bob, idp: SamlIdp, connection, browser, anyone):
    first = certificate("present")
    replace("prepare")
    second = certificate("next")

    assert replace("at-once") == ["present"]

    third = certificate("present")
    assert third not in (first, second)
    assert published(anyone) == {"signing": [third], "encryption": [third]} and signed_by(connection, third)
    for pem in (first, second):
        assert refused_by(sign_in(browser, idp, encrypt_for=pem)) == "encryption"


def test_a_step_out_of_turn_is_refused_and_changes_nothing(connection):
    def refused(step: str) -> str:
        before = list(SamlKeyPair.objects.order_by("id").values())
        recorded = AuditEvent.objects.count()
        with pytest.raises(CommandError) as refusal:
            replace(step)
        assert list(SamlKeyPair.objects.order_by("id").values()) == before
        assert AuditEvent.objects.count() == recorded
        return str(refusal.value)

    assert "No next key is prepared" in refused("switch")
    assert "no former key to go back to" in refused("back") and "There is no former key" in refused("finish")
    replace("prepare")
    assert "There is no former key" in refused("finish")
    replace("switch")
    assert "finish that one first" in refused("prepare") and "No next key is prepared" in refused("switch")


def test_each_step_is_in_the_trail_and_no_private_key_is_shown(connection, capsys):
    replace("prepare", "switch", "finish")
    call_command("replace_saml_key", "acme")

    said = AuditEvent.objects.filter(action="sso.configured").order_by("sequence").values_list("description", flat=True)
    assert [text.split()[-2:] for text in said] == [["next", "key."], ["now", "on."], ["was", "removed."]]
    assert set(AuditEvent.objects.values_list("workspace_id", flat=True)) == {connection.workspace_id}
    assert "PRIVATE" not in capsys.readouterr().out and "PRIVATE" not in SamlKeyPair.objects.get().private_key


def test_what_is_not_encrypted_costs_no_look_at_keys(bob, idp: SamlIdp, connection, browser):
    IdentityProvider.objects.update(requires_encryption=False, signs_requests=False)
    with CaptureQueriesContext(database) as queries:
        assert came_in(sign_in(browser, idp))
    assert not [query for query in queries.captured_queries if "samlkeypair" in query["sql"]]


@pytest.mark.parametrize("arguments", [("nowhere",), ("nowhere", "prepare")])
def test_a_workspace_that_is_not_there_is_said(db, arguments):
    with pytest.raises(CommandError, match="No workspace has the slug nowhere"):
        call_command("replace_saml_key", *arguments)


def test_where_no_key_was_ever_needed_none_is_prepared(alice):
    with pytest.raises(CommandError, match="There is no key yet"):
        replace("prepare")
    assert not SamlKeyPair.objects.exists()
