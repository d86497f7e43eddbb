"""What an owner changes about a connection while a browser is at the provider: what a test proves, and to whom it still
answers.
"""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from rest_framework.test import APIClient

from accounts.models import Workspace
from sso.models import IdentityProvider, SamlAttempt, SamlRequest
from tests.support.cast import Actor
from tests.support.oauth import CHALLENGED, told
from tests.support.pages import signed_in
from tests.support.saml_idp import SamlIdp, certificate
from tests.support.saml_setup import CONFIG, STAGED, configured, patch, post, put, refused, serving
from tests.support.saml_steps import bring_answer, initiate, sign_in

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

NEW_IDP = SamlIdp("https://new.test/saml", "idp-2", "https://new.test/sso")
DEAD = "https://dead.test/sso"
STALE = {
    "check": "connection",
    "passed": False,
    "expected": "the connection as it was when the test was begun",
    "received": "changed meanwhile",
}


def begin_test(actor: Actor, browser: APIClient, **body: Any) -> str:
    """Return the address of the provider that a test leads to."""
    url = post(actor, "test", **body).json()["url"]
    return initiate(browser, **dict(parse_qsl(urlsplit(url).query)))


def attempt_of(actor: Actor, answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = actor.client.get(f"{CONFIG}/attempts/{told(answer)['attempt']}").json()
    return found


def stage(actor: Actor) -> None:
    core = {"entity_id": NEW_IDP.entity_id, "sso_url": NEW_IDP.sso_url, "certificate": NEW_IDP.certificate}
    configured(actor, STAGED, **core)


# --- What a test proves


def test_an_answer_to_what_was_asked_before_a_change_lets_nothing_be_promoted(alice, bob, connection, browser):
    stage(alice)
    before = begin_test(alice, browser, staged=True)
    patch(alice, STAGED, sso_url=DEAD)

    attempt = attempt_of(alice, bring_answer(browser, NEW_IDP.respond(before)))

    assert (attempt["succeeded"], attempt["failed_check"], attempt["checks"][-1]) == (False, "connection", STALE)
    assert alice.client.get(STAGED).json()["tested_at"] is None
    refused(post(alice, "staged/promote"), 409, "connection_not_tested")


def test_an_answer_to_what_is_asked_now_does(alice, bob, connection, browser):
    stage(alice)
    patch(alice, STAGED, sso_url=DEAD)
    patch(alice, STAGED, sso_url=NEW_IDP.sso_url)

    attempt = attempt_of(alice, bring_answer(browser, NEW_IDP.respond(begin_test(alice, browser, staged=True))))

    assert attempt["succeeded"] is True
    assert post(alice, "staged/promote").status_code == 200


def test_a_change_and_its_undoing_need_another_test(alice, bob, connection, browser):
    """The provider may have been changed with it, and back at another moment."""
    stage(alice)
    before = begin_test(alice, browser, staged=True)
    patch(alice, STAGED, signs_requests=True)
    patch(alice, STAGED, signs_requests=False)

    assert attempt_of(alice, bring_answer(browser, NEW_IDP.respond(before)))["failed_check"] == "connection"


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"sso_url": DEAD}, False),
        ({"signs_requests": True}, False),
        ({"attribute_mapping": {"name": "displayName"}}, False),
        ({"certificates": [certificate("idp"), certificate("idp-2")]}, True),
        ({"creates_members": True, "slo_url": "https://idp.acme.test/slo"}, True),
    ],
)
def test_the_serving_one_is_not_required_by_a_test_of_before(alice, bob, idp, connection, browser, change, counts):
    IdentityProvider.objects.update(tested_at=None)
    before = begin_test(alice, browser)
    patch(alice, **change)

    assert attempt_of(alice, bring_answer(browser, idp.respond(before)))["succeeded"] is counts

    assert (serving().tested_at is not None) is counts
    assert patch(alice, is_required=True).status_code == (200 if counts else 409)


def test_a_ticket_asks_what_is_there_when_it_is_used(alice, bob, connection, browser):
    stage(alice)
    url = post(alice, "test", staged=True).json()["url"]
    patch(alice, STAGED, sso_url="https://new.test/other")

    address = initiate(browser, **dict(parse_qsl(urlsplit(url).query)))

    assert address.startswith("https://new.test/other?")
    assert attempt_of(alice, bring_answer(browser, NEW_IDP.respond(address)))["succeeded"] is True


def test_a_test_without_a_place_to_end_leads_to_the_page_of_its_checks(alice, bob, idp, connection, browser):
    answer = bring_answer(browser, idp.respond(begin_test(alice, browser)))

    path = answer["Location"].removeprefix("http://localhost:8000")
    led_on = signed_in(alice, SERVER_NAME="localhost").get(path)
    assert path.startswith("/settings/sso/tested?attempt=")
    assert led_on["Location"] == f"/settings/sso/attempts/{told(answer)['attempt']}"


# --- Whom a deleted connection leaves at the provider


def test_a_sign_in_whose_connection_is_deleted_meanwhile_is_led_back_with_a_reference(alice, bob, idp, connection):
    browser = APIClient()
    address = initiate(browser, **CHALLENGED, next="/welcome")
    assert alice.client.delete(CONFIG).status_code == 204

    answer = bring_answer(browser, idp.respond(address))

    said = told(answer)
    assert (answer.status_code, said["error"], said["state"]) == (302, "sso_failed", CHALLENGED["state"])
    attempt = SamlAttempt.objects.get(reference=said["reference"])
    assert (attempt.failed_check, attempt.provider, attempt.checks[0]["received"]) == (
        *("connection", None),
        "deleted meanwhile",
    )
    assert not SamlRequest.objects.exists()


def test_a_connection_made_anew_does_not_answer_for_the_deleted_one(alice, bob, idp, connection, browser):
    address = initiate(browser, **CHALLENGED, next="/welcome")
    alice.client.delete(CONFIG)
    put(alice)

    assert told(bring_answer(browser, idp.respond(address)))["error"] == "sso_failed"
    assert "code" in told(sign_in(browser, idp, CHALLENGED | {"next": "/welcome"}))


def test_a_test_whose_connection_is_deleted_meanwhile_ends_at_its_checks(alice, bob, connection, browser):
    stage(alice)
    address = begin_test(alice, browser, staged=True)
    alice.client.delete(STAGED)

    assert attempt_of(alice, bring_answer(browser, NEW_IDP.respond(address)))["failed_check"] == "connection"


def test_a_sign_in_whose_workspace_is_deleted_meanwhile_is_told_so(alice, bob, idp, connection, browser):
    address = initiate(browser, **CHALLENGED, next="/welcome")
    assert alice.client.delete("/api/v1/workspaces?slug=acme").status_code == 204

    refused(bring_answer(browser, idp.respond(address)), 404, "not_found")
    page = bring_answer(APIClient(HTTP_ACCEPT="text/html"), idp.respond(address))
    assert (page.status_code, page["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert not Workspace.objects.filter(slug="acme").exists()
