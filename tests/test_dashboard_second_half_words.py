"""What the pages about single sign-on, the workspace and the audit log say: what is so, in a person's words."""

import pytest
from django.test import Client

from accounts.models import Workspace
from sso.models import IdentityProvider, SamlAttempt
from tests.support.cast import Actor
from tests.support.pages import signed_in
from tests.support.sso_history import connected

PLACE = "/settings/sso"


@pytest.fixture
def page(alice: Actor) -> Client:
    connected(alice)
    return signed_in(alice)


def test_a_provider_without_a_name_is_not_called_after_the_workspace(page: Client):
    known = page.get(PLACE).content.decode()
    IdentityProvider.objects.update(preset="custom")

    text = page.get(PLACE).content.decode()

    assert "Okta is connected." in known and "The connection to Okta" in known
    assert "Your identity provider is connected." in text and "The connection to your identity provider" in text
    assert "Acme is connected" not in text and "The connection to Acme" not in text


def test_the_head_says_who_signs_in_now(page: Client, alice: Actor):
    said = []
    for fields in ({"is_enabled": False}, {"is_enabled": True}):
        IdentityProvider.objects.update(**fields)
        said.append(page.get(PLACE).content.decode().split("</section>")[0].split('<ol class="steps">')[0])
    alice.user.email = "alice@elsewhere.test"  # so that her own sign-in goes on
    alice.user.save()
    Workspace.objects.update(requires_sso=True)
    said.append(page.get(PLACE).content.decode().split('<ol class="steps">')[0])

    assert ["Nobody does before you have switched it on" in text for text in said] == [True, False, False]
    assert "People of your domains can sign in by it." in said[1] and "by it and by nothing else." in said[2]


@pytest.mark.parametrize(
    ("check", "is_test", "said"),
    [
        ("signature", False, "the one that served then"),
        ("request", False, "none, or deleted"),
        ("signature", True, "none, or deleted"),
    ],
)
def test_what_nobody_signed_came_to_the_serving_connection(
    page: Client, alice: Actor, check: str, is_test: bool, said: str
):
    SamlAttempt.objects.all().delete()
    SamlAttempt.objects.create(workspace=alice.workspace, failed_check=check, checks=[], is_test=is_test)

    text = page.get(f"{PLACE}/attempts?is_test={is_test}").content.decode()

    assert f'data-label="Connection">{said}<' in text


def test_forms_ask_for_what_a_person_types(page: Client):
    deletion = page.post("/settings/workspace/delete", {"slug": "x"}).content.decode()
    filtered = page.get("/settings/audit-log?date_from=soon").content.decode()

    assert "This is not the slug (short name) of the workspace" in deletion and "Send the slug" not in deletion
    assert "Choose a day, such as 2025-01-31" in filtered and "wrong format" not in filtered


def test_what_the_limit_refused_is_not_called_as_in_the_audit_log(page: Client):
    text = page.get("/settings/workspace/usage").content.decode()

    assert "<dt>Beyond the hourly limit</dt>" in text and "<dt>Refused</dt>" not in text
