"""What pages say holds for whoever reads it: no promise for somebody else, no dead end, no name of a setting."""

import pytest
from django.test import Client

from tests.support.cast import Actor
from tests.support.dashboard_pages import HOST, assert_well_made
from tests.support.pages import signed_in

LINKS = {
    "/verify-email": ("/sign-in", "have a new link sent"),
    "/confirm-email-change": ("/settings/security/email", "Ask for a new link"),
    "/reset-password": ("/forgot-password", "Ask for a new link"),
    "/sso-recovery": ("/sso-recovery/ask", "Ask for a new link"),
}


def text_of(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


def test_only_who_has_a_password_is_told_to_sign_in_with_it(alice: Actor):
    said = "None. You sign in with your password."
    assert said in text_of(signed_in(alice), "/settings/security")

    alice.user.set_unusable_password()
    alice.user.save(update_fields=["password"])

    page = text_of(signed_in(alice), "/settings/security")
    assert said not in page and "<p>None.</p>" in page


def test_the_page_of_single_sign_on_claims_nothing_of_whoever_opens_it(alice: Actor):
    pages = [
        text_of(Client(HTTP_HOST=HOST), f"/sign-in/sso/{slug}").replace(slug, "")
        for slug in (alice.workspace.slug, "nobodys")
    ]

    assert pages[0] == pages[1]
    assert "Your organisation requires" not in pages[0] and "Some organisations require single sign-on" in pages[0]


def test_a_provider_that_is_not_set_up_is_not_offered(db: None):
    page = text_of(Client(HTTP_HOST=HOST), "/sign-in/with/apple")

    assert "is not offered here" in page and "APPLE_" not in page


def test_who_has_not_verified_the_address_is_told_so_before_the_form_of_a_key(alice: Actor):
    assert 'name="permissions"' in text_of(signed_in(alice), "/settings/api-keys/new")
    alice.user.email_verified_at = None
    alice.user.save(update_fields=["email_verified_at"])

    page = text_of(signed_in(alice), "/settings/api-keys/new")

    assert "Verify your email address first" in page and 'name="permissions"' not in page
    assert 'action="/resend-verification"' in page


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_method_that_a_page_does_not_take_is_answered_by_a_page(alice: Actor, method: str):
    client = signed_in(alice, HTTP_HOST=HOST)
    answer = getattr(client, method)("/settings/api-keys")

    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert_well_made(answer)
    assert "is nothing that it takes" in answer.content.decode() and client.get("/settings/api-keys").status_code == 200


@pytest.mark.parametrize("path", LINKS)
def test_a_dead_link_leads_to_where_a_new_one_is_asked_for(db: None, path: str):
    client = Client(HTTP_HOST=HOST)
    client.get(path, {"token": "t" * 43})
    answer = client.post(path, {"password": "a few words of my own"})

    assert 400 <= answer.status_code < 500
    place, words = LINKS[path]
    assert f'href="{place}"' in answer.content.decode() and words in answer.content.decode()
