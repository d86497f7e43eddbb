"""Proving mail domains by the DNS, against a real DNS server that can lie; each proven for one workspace only."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from accounts.models import SignIn, Workspace, WorkspaceDomain
from sso.domains import covers
from tests.support.domains import CHALLENGE, DOMAINS, claim, let_pass, move_away, prove, proven_row, trail, verify
from tests.support.launch import launch
from tests.support.race import at_once, call

pytest_plugins = ["tests.support.dns_fixtures"]
pytestmark = pytest.mark.django_db


# --- Proofs


def test_a_domain_is_proven_by_its_record(alice, dns):
    claimed = claim(alice)
    assert verify(alice, claimed).json()["outcome"] == "missing"

    dns.records[CHALLENGE] = [claimed["dns_value"]]
    response = verify(alice, claimed)

    row = WorkspaceDomain.objects.get()
    assert (response.status_code, response.json()) == (
        200,
        {
            **claimed,
            "status": "proven",
            "verified_at": response.json()["verified_at"],
            "checked_at": response.json()["checked_at"],
            "outcome": "proven",
            "found": [],
            "detail": "The record is in the DNS: the domain is proven.",
        },
    )
    assert row.verified_at and row.checked_at and row.lost_at is None
    assert trail() == [
        ("domain.added", {"domain": "acme.test"}),
        ("domain.proven", {"domain": "acme.test", "sign_ins_ended": 0}),
    ]
    assert covers(alice.workspace.id, "bob@acme.test")
    assert dns.asked == [("udp", CHALLENGE)] * 2

    assert verify(alice, claimed).json()["outcome"] == "proven"  # again, and nothing more
    assert len(trail()) == 2


@pytest.mark.parametrize("is_required", [True, False])
def test_where_single_sign_on_is_required_a_proven_domain_ends_other_sign_ins(alice, bob, carol, dns, is_required):
    move_away(alice), move_away(carol)
    Workspace.objects.filter(id=alice.workspace.id).update(requires_sso=is_required)

    prove(alice, dns)

    works = [actor.client.get("/api/v1/auth/me").status_code for actor in (alice, bob, carol)]
    assert works == [200, 401 if is_required else 200, 200]
    assert SignIn.objects.get(id=bob.sign_in_id).revoked_reason == ("sso_required" if is_required else "")
    assert trail()[-1][1]["sign_ins_ended"] == is_required


@pytest.mark.parametrize(
    "email", ["bob@sub.acme.test", "bob@acme.test.evil.test", "bob@notacme.test", "bob@test", "acme.test", ""]
)
def test_a_domain_covers_its_own_addresses_only(alice, dns, email):
    prove(alice, dns)

    assert covers(alice.workspace.id, "bob@acme.test")
    assert not covers(alice.workspace.id, email)


def test_another_workspaces_proof_covers_nobody_here(alice, mallory, dns):
    prove(alice, dns)

    assert not covers(mallory.workspace.id, "bob@acme.test")


@pytest.mark.parametrize(
    "spell",
    [
        lambda value: ["v=spf1 -all", value, "another=1"],
        lambda value: [[value[:20].encode(), value[20:].encode()]],
        lambda value: [[bytes([byte]) for byte in value.encode()]],
        lambda value: [value, *(f"{number:03}" * 80 for number in range(20))],
    ],
    ids=["among-others", "in-two-strings", "a-string-a-character", "by-tcp"],
)
def test_a_record_is_found_however_it_comes(alice, dns, spell):
    claimed = claim(alice)
    dns.records[CHALLENGE] = spell(claimed["dns_value"])

    assert verify(alice, claimed).json()["outcome"] == "proven"


def test_a_record_is_found_behind_an_alias_and_after_a_truncated_answer(alice, dns):
    claimed = claim(alice)
    dns.aliases[CHALLENGE] = "proofs.hosting.test"
    dns.records["proofs.hosting.test"] = [claimed["dns_value"]]
    dns.mode = "truncated"

    assert verify(alice, claimed).json()["outcome"] == "proven"
    assert dns.asked == [("udp", CHALLENGE), ("tcp", CHALLENGE)]


@pytest.mark.parametrize(
    "spoil",
    [
        str.upper,
        lambda value: value.replace("=", "=="),
        lambda value: f"{value}x",
        lambda value: f"x{value}",
        lambda value: value[:-1],
        lambda value: f" {value}",
        lambda value: f"{value} ",
        lambda value: f'"{value}"',
        lambda value: value.partition("=")[2],
        lambda value: f"{value.partition('=')[0]}=",
    ],
)
def test_another_record_proves_nothing(alice, dns, spoil):
    claimed = claim(alice)
    dns.records[CHALLENGE] = [spoil(claimed["dns_value"])]

    response = verify(alice, claimed)

    assert (response.status_code, response.json()["outcome"]) == (200, "different")
    assert response.json()["found"] == [spoil(claimed["dns_value"])]
    assert (response.json()["status"], response.json()["verified_at"]) == ("pending", None)


def test_a_record_in_another_place_proves_nothing(alice, dns):
    claimed = claim(alice)
    for name in ("acme.test", "_spatialflow-challenge.test", f"{CHALLENGE}.acme.test", "_spatialflow-challenge"):
        dns.records[name] = [claimed["dns_value"]]

    assert verify(alice, claimed).json()["outcome"] == "missing"
    assert dns.asked == [("udp", CHALLENGE)]  # no search domain was tried


def test_the_record_of_one_workspace_proves_nothing_for_another(alice, mallory, dns):
    ours, theirs = claim(alice), claim(mallory)
    dns.records[CHALLENGE] = [ours["dns_value"]]

    assert verify(mallory, theirs).json()["outcome"] == "different"
    assert verify(alice, ours).json()["outcome"] == "proven"


def test_what_is_found_instead_is_shown_shortened(alice, dns):
    claimed = claim(alice)
    dns.records[CHALLENGE] = [[b"x" * 255] * 40, [b"\xff\x00"], *(f"record {number}" for number in range(4))]

    found = verify(alice, claimed).json()["found"]

    assert found == ["record 0", "record 1", "record 2", "record 3", "x" * 120 + "…"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["servfail", "refused", "garbage", "silent", "dripping"])
def test_a_dns_that_does_not_answer_changes_nothing(alice, dns, mode):
    claimed, pending = prove(alice, dns), claim(alice, "pending.test")
    dns.records[pending["dns_name"]] = [pending["dns_value"]]
    before = list(WorkspaceDomain.objects.order_by("domain").values())
    dns.mode = mode

    def ask(row: dict[str, Any]) -> Any:
        with closing(connections["default"]), closing(connections["counters"]):  # of this thread
            return verify(alice, row)

    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, (claimed, pending)))

    assert time.monotonic() - began < 5 + 2
    assert [(answer.status_code, answer.json()["outcome"]) for answer in answers] == [(200, "unanswered")] * 2
    assert list(WorkspaceDomain.objects.order_by("domain").values()) == before
    dns.mode = "answer"
    assert verify(alice, pending).json()["outcome"] == "proven"


def test_a_resolver_that_is_not_there_changes_nothing(alice, settings):
    row = proven_row(alice.workspace)
    settings.DNS_RESOLVER = ("127.0.0.1", 9)

    response = alice.client.post(f"{DOMAINS}/{row.id}/verify")

    assert (response.json()["outcome"], response.json()["status"]) == ("unanswered", "proven")


def test_records_under_another_name_prove_nothing(alice, dns):
    claimed = claim(alice)
    dns.records[CHALLENGE] = [claimed["dns_value"]]
    dns.mode = "other_name"

    assert verify(alice, claimed).json()["status"] == "pending"


def test_an_answer_to_another_question_is_not_listened_to(alice, dns):
    claimed = claim(alice)
    dns.records[CHALLENGE] = [claimed["dns_value"]]
    dns.mode = "wrong_id"

    assert verify(alice, claimed).json()["outcome"] == "proven"


def test_checks_are_limited_for_the_workspace(alice, dns):
    claimed = claim(alice)

    answers = [verify(alice, claimed) for _ in range(31)]

    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    assert len(dns.asked) == 30


# --- One owner a proven domain


def test_a_proven_domain_is_claimed_by_no_other_workspace(alice, mallory, dns):
    prove(alice, dns)

    response = mallory.client.post(DOMAINS, {"domain": "acme.test"}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (400, "domain_taken")
    assert mallory.client.post(DOMAINS, {"domain": "sub.acme.test"}, format="json").status_code == 201


def test_a_claim_from_before_is_not_proven_either(alice, mallory, dns):
    earlier = claim(mallory)
    ours = prove(alice, dns)
    dns.records[CHALLENGE] = [ours["dns_value"], earlier["dns_value"]]

    refused = verify(mallory, earlier)

    assert (refused.status_code, refused.json()["error_code"]) == (400, "domain_taken")
    assert not covers(mallory.workspace.id, "bob@acme.test")
    alice.client.delete(f"{DOMAINS}/{ours['id']}")
    assert verify(mallory, earlier).json()["outcome"] == "proven"


def test_who_has_the_domain_now_takes_over_when_the_grace_is_over(alice, mallory, dns):
    earlier = claim(mallory)
    ours = prove(alice, dns)
    dns.records[CHALLENGE] = [earlier["dns_value"]]
    assert verify(alice, ours).json()["status"] == "lost"
    assert verify(mallory, earlier).status_code == 400

    let_pass(timedelta(hours=73))  # and nobody ran the maintenance
    response = verify(mallory, earlier)

    assert (response.status_code, response.json()["status"]) == (200, "proven")
    assert alice.client.get(f"{DOMAINS}/{ours['id']}").json()["status"] == "suspended"
    assert (covers(alice.workspace.id, "a@acme.test"), covers(mallory.workspace.id, "a@acme.test")) == (False, True)


@pytest.mark.django_db(transaction=True)
def test_of_two_workspaces_that_prove_a_domain_at_once_one_wins(database_url, settings, alice, mallory, dns):
    claims = [(actor, claim(actor)) for actor in (alice, mallory)] * 4
    dns.records[CHALLENGE] = [claimed["dns_value"] for _, claimed in claims[:2]]
    environment = {"PUBLIC_URL": settings.PUBLIC_URL, "DNS_RESOLVER": "{}:{}".format(*dns.address)}

    with launch(database_url, extra_env=environment) as server:

        def act(index: int) -> tuple[str, int, str]:
            actor, claimed = claims[index]
            headers = {"Authorization": f"Bearer {actor.pair.access_token}"}
            answer = call(server, "POST", f"{DOMAINS}/{claimed['id']}/verify", headers=headers)
            return actor.workspace.slug, answer.status, answer.body.get("error_code", answer.body.get("outcome"))

        outcomes = Counter(at_once(8, act))

    assert WorkspaceDomain.objects.proven().count() == 1, outcomes
    winner = WorkspaceDomain.objects.proven().select_related("workspace").get()
    loser = {"acme": "other", "other": "acme"}[winner.workspace.slug]
    assert outcomes == {(winner.workspace.slug, 200, "proven"): 4, (loser, 400, "domain_taken"): 4}
    assert [action for action, _ in trail()].count("domain.proven") == 1
