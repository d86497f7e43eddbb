"""Removing mail domains: who is signed out by it, and which one has to stay."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Membership, SignIn, Workspace, WorkspaceDomain
from accounts.principal import Client
from accounts.tokens import RefreshToken, issue
from sso.domains import covers
from sso.models import IdentityProvider, LoginCode, SamlSession
from tests.support.cast import Actor, bearer
from tests.support.domains import DOMAINS, claim, let_pass, move_away, prove, proven_row, trail

pytest_plugins = ["tests.support.dns_fixtures"]
pytestmark = pytest.mark.django_db


def saml_sign_in(actor: Actor, domain: str) -> Any:
    """Return the pair of a sign-in by an address in that domain."""
    pair = issue(actor.membership, "saml", Client("192.0.2.9", "a browser"))
    connection, _ = IdentityProvider.objects.get_or_create(workspace=actor.workspace)
    SamlSession.objects.create(
        sign_in_id=RefreshToken.read(pair.refresh_token).sid, provider=connection, name_id="1", domain=domain
    )
    return pair


def login_code(actor: Actor, provider: str, domain: str = "") -> str:
    return LoginCode.objects.issue(
        user=actor.user, workspace=actor.workspace, provider=provider, code_challenge="x" * 43, domain=domain
    )


def test_who_signed_in_by_a_removed_domain_is_signed_out(alice, bob, carol, mallory, dns):
    claimed, _ = prove(alice, dns), prove(alice, dns, "second.test")
    # What counts is the address that the provider named, whatever the account's own is.
    covered, elsewhere, by_password = saml_sign_in(bob, "acme.test"), saml_sign_in(carol, "second.test"), bob.pair
    Membership.objects.create(user=bob.user, workspace=mallory.workspace, role="member")
    login_code(bob, "saml-abc", "acme.test"), login_code(carol, "saml-abc", "second.test"), login_code(bob, "google")

    assert alice.client.delete(f"{DOMAINS}/{claimed['id']}").status_code == 204

    works = [bearer(pair.access_token).get("/api/v1/auth/me").status_code for pair in (covered, elsewhere, by_password)]
    assert works == [401, 200, 200]
    assert SignIn.objects.get(revoked_at__isnull=False).revoked_reason == "domain_lost"
    left = set(LoginCode.objects.values_list("user__name", "provider"))
    assert left == {("Carol", "saml-abc"), ("Bob", "google")}
    assert trail()[-1] == ("domain.removed", {"domain": "acme.test", "was_proven": True, "sign_ins_ended": 1})
    assert not covers(alice.workspace.id, "bob@acme.test")


def test_the_last_proven_domain_stays_while_single_sign_on_is_required(alice, dns):
    move_away(alice)
    claimed, pending = prove(alice, dns), claim(alice, "pending.test")
    Workspace.objects.filter(id=alice.workspace.id).update(requires_sso=True)

    refused = alice.client.delete(f"{DOMAINS}/{claimed['id']}")

    assert (refused.status_code, refused.json()["error_code"]) == (409, "sso_is_required")
    assert covers(alice.workspace.id, "bob@acme.test")
    assert alice.client.delete(f"{DOMAINS}/{pending['id']}").status_code == 204

    prove(alice, dns, "second.test")
    assert alice.client.delete(f"{DOMAINS}/{claimed['id']}").status_code == 204
    Workspace.objects.filter(id=alice.workspace.id).update(requires_sso=False)
    assert alice.client.delete(f"{DOMAINS}/{WorkspaceDomain.objects.get().id}").status_code == 204


def test_a_lost_domain_is_the_last_one_until_its_grace_ends(alice, dns):
    move_away(alice)
    row = proven_row(alice.workspace, lost_at=timezone.now() - timedelta(hours=71))
    Workspace.objects.filter(id=alice.workspace.id).update(requires_sso=True)

    assert alice.client.delete(f"{DOMAINS}/{row.id}").status_code == 409
    let_pass(timedelta(hours=2))
    assert alice.client.delete(f"{DOMAINS}/{row.id}").status_code == 204
