"""Asking by an address how somebody signs in, and the limit that each step of a sign-in by a provider has."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Workspace, WorkspaceDomain
from sso.models import IdentityProvider
from tests.support.saml_steps import STAGED, post

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

DETECT = "/api/v1/auth/saml/detect-method"
PASSWORD_ONLY = {"method": "password", "workspace_slug": None, "idp_name": None, "required": False}


def detect(client: APIClient, email: Any) -> Any:
    return client.post(DETECT, {"email": email}, format="json")


@pytest.mark.parametrize("email", ["bob@acme.test", "nobody@acme.test", " BOB@ACME.TEST ", "b@ACME。test"])
def test_everybody_of_a_proven_domain_gets_one_answer(bob, connection, anyone, email):
    response = detect(anyone, email)

    expected = {"method": "saml", "workspace_slug": "acme", "idp_name": "Acme", "required": False}
    assert (response.status_code, response.json()) == (200, expected)


def test_the_answer_names_the_product_and_whether_it_is_the_only_way(connection, anyone):
    IdentityProvider.objects.update(preset="okta")
    Workspace.objects.update(requires_sso=True)

    body = detect(anyone, "nobody@acme.test").json()

    assert (body["idp_name"], body["required"]) == ("Okta", True)


@pytest.mark.parametrize(
    "email", ["bob@elsewhere.test", "bob@sub.acme.test", "bob@acme.test.evil.test", "bob@xacme.test"]
)
def test_any_other_domain_is_answered_with_the_password(bob, connection, anyone, email):
    assert detect(anyone, email).json() == PASSWORD_ONLY


@pytest.mark.parametrize(
    "change",
    [
        lambda: WorkspaceDomain.objects.update(verified_at=None),
        lambda: WorkspaceDomain.objects.update(lost_at=timezone.now() - timedelta(hours=73)),
        lambda: IdentityProvider.objects.update(is_enabled=False),
        lambda: IdentityProvider.objects.update(state=STAGED),
        lambda: Workspace.objects.update(plan="team"),
        lambda: Workspace.objects.update(suspended_at=timezone.now()),
    ],
    ids=["unproven", "lost", "disabled", "staged", "plan", "suspended"],
)
def test_and_so_is_a_domain_whose_connection_is_out_of_service(connection, anyone, change):
    change()

    assert detect(anyone, "bob@acme.test").json() == PASSWORD_ONLY


def test_the_question_costs_one_look_and_never_at_people(
    bob, connection, anyone, django_assert_num_queries, django_assert_max_num_queries
):
    for email in ("bob@acme.test", "nobody@acme.test", "nobody@elsewhere.test"):
        with django_assert_num_queries(1) as looked:
            detect(anyone, email)
        assert "accounts_user" not in looked.captured_queries[0]["sql"]


@pytest.mark.parametrize("email", ["", "x", "a@b@", None, [], "x" * 2000])
def test_what_is_no_address_is_said_so(anyone, connection, email):
    assert detect(anyone, email).status_code == 422


def test_each_step_has_a_limit(connection, browser, anyone):
    answers = {
        30: lambda: detect(anyone, "bob@acme.test"),
        60: lambda: browser.get("/api/v1/auth/saml/acme/initiate"),
        300: lambda: post(browser, ""),
    }
    for limit, act in answers.items():
        counted = [act().status_code for _ in range(limit)]
        assert 429 not in counted
        refused = act()
        assert (refused.status_code, refused["RateLimit-Limit"]) == (429, str(limit))
