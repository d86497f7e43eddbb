"""The way in for owners whom single sign-on locks out, on the dashboard's pages."""

import pytest

from accounts.models import SignIn, Workspace
from accounts.throttles import RECOVERY_BY_ADDRESS, RECOVERY_LINK_BY_ADDRESS
from sso.models import IdentityProvider, SsoRecovery
from tests.support.cast import Actor
from tests.support.entrance import is_signed_in, link_in, open_link, visitor, without_tokens
from tests.support.mails import delivered
from tests.support.pages import signed_in
from tests.support.totp import code, enrol, wait_for_an_early_moment, wrong_code

pytest_plugins = ["tests.support.saml_fixtures"]

ASK, REDEEM, REPAIR = "/sso-recovery/ask", "/sso-recovery", "/sso-recovery/repair"


def lock(connection: IdentityProvider) -> None:
    Workspace.objects.filter(id=connection.workspace_id).update(requires_sso=True)


def link_of(owner: Actor) -> str:
    """Ask for a link on the page, and return the one that is mailed."""
    answer = visitor().post(ASK, {"email": owner.user.email, "workspace_slug": "acme"})
    assert answer["Location"] == "/sso-recovery/sent"
    [mail] = [mail for mail in delivered() if "sso-recovery?token=" in mail.body]
    return link_in(mail.body)


def test_a_link_signs_in_to_repair_and_nothing_else(alice: Actor, connection: IdentityProvider):
    lock(connection)
    browser = visitor()
    page = open_link(browser, link_of(alice))
    assert b"for one hour" in page.content and not is_signed_in(browser)

    answer = browser.post(REDEEM)

    assert answer["Location"] == REPAIR
    assert SignIn.objects.latest("created_at").method == "sso_recovery"
    assert b"Stop requiring single sign-on" in browser.get(REPAIR).content
    assert browser.get("/")["Location"] == REPAIR
    assert b"came in by a recovery link" in browser.get("/settings/sign-ins").content
    assert browser.get("/settings/api-keys").status_code == 403
    assert browser.get(REDEEM).status_code == 400  # spent, and forgotten


def test_single_sign_on_can_be_lifted_there(alice: Actor, connection: IdentityProvider):
    lock(connection)
    browser = visitor()
    open_link(browser, link_of(alice))
    browser.post(REDEEM)

    page = browser.post(REPAIR, follow=True)

    assert b"Single sign-on is not required any more" in page.content
    assert not Workspace.objects.get(id=connection.workspace_id).requires_sso
    assert b"Single sign-on is not required</h2>" in page.content


def test_the_second_factor_is_asked_for_and_spends_nothing(alice: Actor, connection: IdentityProvider):
    wait_for_an_early_moment()
    secret, _ = enrol(alice)
    lock(connection)
    browser = visitor()
    page = open_link(browser, link_of(alice))
    assert b'name="otp"' not in page.content

    asked, wrong = browser.post(REDEEM), browser.post(REDEEM, {"otp": wrong_code(secret)})

    assert (asked.status_code, wrong.status_code) == (401, 401)
    assert b'name="otp"' in asked.content and b'name="otp"' in wrong.content
    assert SsoRecovery.objects.exists() and not is_signed_in(browser)
    assert browser.post(REDEEM, {"otp": code(secret)})["Location"] == REPAIR


def test_a_link_that_does_not_hold_says_so(alice: Actor, connection: IdentityProvider):
    browser = visitor()
    open_link(browser, "http://localhost/sso-recovery?token=wrong")

    answer = browser.post(REDEEM)

    assert answer.status_code == 400 and b"invalid, expired or already used" in answer.content


def test_asking_answers_alike_whoever_asks(alice: Actor, bob: Actor, connection: IdentityProvider):
    lock(connection)
    seen = set()
    for email in (alice.user.email, bob.user.email, "nobody@acme.test"):
        browser = visitor()
        answer = browser.post(ASK, {"email": email, "workspace_slug": "acme"})
        page = browser.get(answer["Location"])
        seen.add((answer.status_code, answer["Location"], without_tokens(page.content)))

    assert len(seen) == 1
    assert [mail.to for mail in delivered() if "token=" in mail.body] == [[alice.user.email]]


def test_the_limits_are_those_of_the_api(alice: Actor):
    form = {"email": alice.user.email, "workspace_slug": "acme"}
    for _ in range(int(RECOVERY_BY_ADDRESS.rate.split("/")[0])):
        assert visitor().post(ASK, form).status_code == 302
    assert visitor().post(ASK, form).status_code == 429

    browser = visitor()
    open_link(browser, "http://localhost/sso-recovery?token=wrong")
    for _ in range(int(RECOVERY_LINK_BY_ADDRESS.rate.split("/")[0])):
        assert browser.post(REDEEM).status_code == 400
    assert browser.post(REDEEM).status_code == 429


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_page_of_repair_is_for_recovery_alone(alice: Actor, bob: Actor, method: str):
    for actor, status in ((alice, 404), (bob, 403)):
        assert getattr(signed_in(actor, SERVER_NAME="localhost"), method)(REPAIR).status_code == status
    assert getattr(visitor(), method)(REPAIR)["Location"].startswith("/sign-in")


def test_what_is_missing_is_said_next_to_the_field(db: None):
    answer = visitor().post(ASK, {"email": "<script>", "workspace_slug": ""})

    text = answer.content.decode()
    assert answer.status_code == 422 and 'id="id_email-errors"' in text and 'id="id_workspace_slug-errors"' in text
    assert "<script>" not in text.split("<main")[1]
