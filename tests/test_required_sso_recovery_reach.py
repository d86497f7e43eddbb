"""What a recovery sign-in reaches, of every operation and page that there is: single sign-on, and its own end."""

from typing import Any

import pytest

from accounts.models import Membership, SignIn, Workspace
from accounts.sso_requirement import BY_RECOVERY, BY_SAML
from apikeys.models import ApiKey
from sso.models import IdentityProvider
from tests.support.cast import Actor
from tests.support.pages import signed_in
from tests.support.saml_setup import CONFIG, STAGED, configured, patch, post, put, refused, serving, signed_in_by
from tests.support.urls import EXAMPLE_ID, api_patterns, page_patterns

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db

# The settings of single sign-on, the domains that it covers, who one is, and the way out.
REPAIR = ("/api/v1/workspaces/saml-config", "/api/v1/workspaces/domains")
THIS_SIGN_IN = {("GET", "/api/v1/auth/me"), ("POST", "/api/v1/auth/logout"), ("POST", "/api/v1/auth/saml/logout")}
REPAIR_PAGES = ("/settings/sso", "/sso-recovery/repair", "/confirm")


@pytest.fixture
def rescuer(alice: Actor, bob: Actor, connection: IdentityProvider) -> Actor:
    """Alice, who owns acme with Bob, in by a recovery link while single sign-on is required."""
    Membership.objects.filter(user=bob.user).update(role="owner")
    Workspace.objects.update(requires_sso=True)
    return signed_in_by(alice, BY_RECOVERY)


def fill(route: str) -> str:
    head, *tails = route.split("<")
    return head + "".join(EXAMPLE_ID + tail.split(">")[1] for tail in tails)


def is_within(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def operations(patterns: Any) -> dict[tuple[str, str], str]:
    """Return the scope of every operation that wants one, by its method and path; one spelling of each path."""
    return {
        (method, fill(route).rstrip("/") or "/"): scope
        for route, pattern in patterns
        for method, scope in getattr(pattern.callback.view_class, "scopes", {}).items()
        if not getattr(pattern.callback.view_class, "is_public", False)
    }


def test_of_every_operation_it_reaches_what_repairs_and_its_own_end(rescuer):
    allowed = set()
    for method, path in operations(api_patterns()):
        if is_within(path, REPAIR) or (method, path) in THIS_SIGN_IN:
            allowed.add((method, path))
            continue
        answer = rescuer.client.generic(method, path, "{}", content_type="application/json")
        assert (answer.status_code, answer.json()["error_code"]) == (403, "insufficient_permissions"), (method, path)

    assert allowed > THIS_SIGN_IN and len(allowed) > 20
    assert rescuer.client.get("/api/v1/auth/me").status_code == 200
    assert rescuer.client.get(CONFIG).status_code == 200
    assert rescuer.client.get("/api/v1/workspaces/domains").status_code == 200
    assert rescuer.client.post("/api/v1/auth/logout").status_code == 200
    assert rescuer.client.get("/api/v1/auth/me").status_code == 401


def test_of_every_page_it_reaches_what_repairs(rescuer):
    browser = signed_in(rescuer, SERVER_NAME="localhost")
    seen = 0
    for method, path in operations(page_patterns()):
        if not is_within(path, REPAIR_PAGES):
            answer = getattr(browser, method.lower())(path)
            assert answer.status_code == 403, (method, path)
            seen += 1

    assert seen > 50
    assert browser.get("/sso-recovery/repair").status_code == 200
    assert browser.get("/settings/sso").status_code == 200


def test_it_does_not_leave_the_workspace_nor_end_the_keys_of_its_owner(rescuer):
    digest = b"x" * 32
    ApiKey.objects.create(workspace=rescuer.workspace, created_by=rescuer.membership.user, name="CI", digest=digest)

    refused(rescuer.client.post("/api/v1/workspaces/leave"), 403, "insufficient_permissions")

    assert Membership.objects.filter(user=rescuer.user, role="owner").exists()
    assert ApiKey.objects.filter(digest=digest, revoked_at=None).exists()


@pytest.mark.parametrize("path", [CONFIG, STAGED])
@pytest.mark.parametrize(
    "change", [{"creates_members": True}, {"default_role": "manager"}, {"allows_idp_initiated": True}]
)
def test_it_does_not_decide_who_becomes_a_member(alice, rescuer, path, change):
    configured(rescuer, STAGED)
    before = list(IdentityProvider.objects.order_by("state").values())

    refused(patch(rescuer, path, **change, sso_url="https://new.test/sso"), 403, "beyond_recovery")

    assert list(IdentityProvider.objects.order_by("state").values()) == before
    assert patch(signed_in_by(alice, BY_SAML), path, **change).status_code == 200


def test_it_does_not_decide_what_keys_may_do(alice, rescuer, acme):
    refused(patch(rescuer, refuses_api_keys=True), 403, "beyond_recovery")
    acme.refresh_from_db()
    assert not acme.refuses_keys_under_sso


def test_it_sends_a_form_along_that_changes_nothing_of_that(rescuer):
    same = {
        "creates_members": False,
        "default_role": "member",
        "allows_idp_initiated": False,
        "refuses_api_keys": False,
    }

    answer = patch(rescuer, **same, requires_encryption=True)

    assert (answer.status_code, answer.json()["requires_encryption"]) == (200, True)


def test_it_repairs_by_every_way(rescuer, idp):
    assert put(rescuer, sso_url="https://new.test/sso").json()["sso_url"] == "https://new.test/sso"
    assert post(rescuer, "test").status_code == 200
    assert configured(rescuer, STAGED)["state"] == "staged"
    refused(post(rescuer, "staged/promote"), 409, "connection_not_tested")
    assert rescuer.client.delete(STAGED).status_code == 204
    added = rescuer.client.post("/api/v1/workspaces/domains", {"domain": "acme.example"}, format="json")
    assert added.status_code == 201
    assert patch(rescuer, is_required=False).json()["is_required"] is False
    assert serving().sso_url == "https://new.test/sso"
    assert SignIn.objects.live().filter(method=BY_RECOVERY).exists()
