"""Claiming mail domains, and which of a workspace's domains is the primary one."""

import pytest

from accounts.models import Workspace, WorkspaceDomain
from sso.domain_proofs import DomainTaken
from sso.domains import covers, set_primary
from tests.support.domains import CHALLENGE, DOMAINS, claim, prove, trail

pytest_plugins = ["tests.support.dns_fixtures"]
pytestmark = pytest.mark.django_db


# --- Claims


def test_a_claim_says_which_record_proves_it(alice):
    response = alice.client.post(DOMAINS, {"domain": "acme.test"}, format="json")

    row = WorkspaceDomain.objects.get()
    assert (response.status_code, response.json()) == (
        201,
        {
            "id": str(row.id),
            "domain": "acme.test",
            "is_primary": True,
            "status": "pending",
            "verified_at": None,
            "checked_at": None,
            "lost_at": None,
            "counts_until": None,
            "dns_name": CHALLENGE,
            "dns_value": f"spatialflow-domain-verification={row.token}",
            "created_at": response.json()["created_at"],
        },
    )
    assert alice.client.get(f"{DOMAINS}/{row.id}").json() == response.json()
    assert alice.client.get(DOMAINS).json() == {"domains": [response.json()]}
    assert trail() == [("domain.added", {"domain": "acme.test"})]
    assert not covers(alice.workspace.id, "bob@acme.test")


def test_each_claim_has_a_token_of_its_own(alice, mallory):
    ours, theirs = claim(alice), claim(mallory)

    assert ours["dns_name"] == theirs["dns_name"]
    assert ours["dns_value"] != theirs["dns_value"]
    alice.client.delete(f"{DOMAINS}/{ours['id']}")
    assert claim(alice)["dns_value"] != ours["dns_value"]


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("  ACME.Test ", "acme.test"),
        ("acme.test.", "acme.test"),
        ("bücher.test", "xn--bcher-kva.test"),
        ("ａｃｍｅ.test", "acme.test"),
        ("mail.acme.co.uk", "mail.acme.co.uk"),
        ("9to5.test", "9to5.test"),
    ],
)
def test_every_spelling_of_a_domain_is_one(alice, typed, stored):
    assert claim(alice, typed)["domain"] == stored

    again = alice.client.post(DOMAINS, {"domain": stored.upper()}, format="json")
    assert (again.status_code, again.json()["error_code"]) == (409, "domain_exists")


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "acme",
        "localhost",
        "com.",
        "@acme.test",
        "bob@acme.test",
        "https://acme.test",
        "acme.test/path",
        "acme.test:53",
        "acme .test",
        "acme..test",
        ".acme.test",
        "-acme.test",
        "acme-.test",
        "_acme.test",
        "*.acme.test",
        "192.0.2.1",
        "10.0.0.11",
        "[192.0.2.1]",
        "::1",
        "acme.test\nother.test",
        "gmail.com",
        "GMX.de",
        "outlook.com",
        *("yahoo.de", "hotmail.co.uk", "outlook.de", "fastmail.com", "hey.com", "t-online.de"),
        *("co.uk", "github.io", "com.br", "msk.ru", "herokuapp.com"),
        "a" * 64 + ".test",
        "a." * 114 + "test",
        None,
        ["acme.test"],
        {"acme": "test"},
        7,
    ],
)
def test_what_is_no_domain_of_ones_own_is_refused(alice, typed):
    response = alice.client.post(DOMAINS, {"domain": typed}, format="json")

    assert (response.status_code, list(response.json()["details"])) == (422, ["domain"])
    assert not WorkspaceDomain.objects.exists()


def test_the_longest_domain_whose_record_has_a_place_in_the_dns_is_proven(alice, dns):
    longest = "a." * 113 + "test"

    assert len(prove(alice, dns, longest)["dns_name"]) == 253


def test_a_workspace_has_twenty_domains(alice):
    for number in range(20):
        claim(alice, f"d{number}.test")

    refused = alice.client.post(DOMAINS, {"domain": "one-more.test"}, format="json")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "too_many_domains")

    alice.client.delete(f"{DOMAINS}/{WorkspaceDomain.objects.get(domain='d3.test').id}")
    assert claim(alice, "one-more.test")["status"] == "pending"


@pytest.mark.parametrize("plan", ["free", "pro", "team"])
def test_other_plans_see_and_remove_only(alice, dns, plan):
    claimed = prove(alice, dns)
    Workspace.objects.update(plan=plan)
    one = f"{DOMAINS}/{claimed['id']}"

    refusals = [
        alice.client.post(DOMAINS, {"domain": "second.test"}, format="json"),
        alice.client.post(f"{one}/verify"),
        alice.client.post(f"{one}/primary"),
    ]

    assert {(answer.status_code, answer.json()["error_code"]) for answer in refusals} == {(403, "plan_required")}
    assert alice.client.get(one).status_code == 200
    assert alice.client.delete(one).status_code == 204


# --- The primary one, which the SAML configuration names


def test_the_primary_domain_is_one_at_any_time(alice, dns):
    first, second = claim(alice), prove(alice, dns, "second.test")

    response = alice.client.post(f"{DOMAINS}/{second['id']}/primary")

    assert (response.status_code, response.json()["is_primary"]) == (200, True)
    listed = alice.client.get(DOMAINS).json()["domains"]
    assert [(row["domain"], row["is_primary"]) for row in listed] == [("second.test", True), ("acme.test", False)]
    assert first["is_primary"] and not second["is_primary"]


def test_when_the_primary_domain_goes_a_proven_one_takes_its_place(alice, dns):
    first, _, _ = claim(alice), claim(alice, "second.test"), prove(alice, dns, "third.test")

    assert alice.client.delete(f"{DOMAINS}/{first['id']}").status_code == 204

    assert WorkspaceDomain.objects.get(is_primary=True).domain == "third.test"


def test_a_domain_is_set_as_primary_and_claimed_where_it_was_not(alice, mallory, dns):
    claim(alice)
    prove(mallory, dns, "other.test")

    made = set_primary(alice.request(), "second.test")
    again = set_primary(alice.request(), "second.test")

    assert (made.id, made.is_primary, made.status) == (again.id, True, "pending")
    assert WorkspaceDomain.objects.for_workspace(alice.workspace.id).count() == 2
    with pytest.raises(DomainTaken):
        set_primary(alice.request(), "other.test")
    assert WorkspaceDomain.objects.get(workspace=alice.workspace, is_primary=True).domain == "second.test"
