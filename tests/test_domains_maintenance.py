"""The hourly command of single sign-on: lost proofs, ending certificates; each told exactly once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import call_command
from django.utils import timezone
from ruamel.yaml import YAML

from accounts.models import AuditEvent, Membership, SignIn, User, Workspace, WorkspaceDomain
from accounts.principal import Client
from accounts.tokens import issue
from sso.domains import covers
from sso.models import IdentityProvider
from tests.support.cast import PASSWORD, bearer
from tests.support.dns_server import DnsServer
from tests.support.domains import DOMAINS, let_pass, prove, proven_row, verify
from tests.support.launch import PROJECT
from tests.support.mails import delivered, held_back
from tests.support.race import at_once

pytest_plugins = ["tests.support.dns_fixtures"]
pytestmark = pytest.mark.django_db
CHALLENGE = "_spatialflow-challenge.acme.test"
LOGIN = "/api/v1/auth/login"
DAY = timedelta(days=1)
LOST = "The proof of acme.test is gone from the DNS"
BACK = "The proof of acme.test is back"
SUSPENDED = "acme.test does not sign in by your identity provider any more"


def maintain() -> list[str]:
    """Run the command once and return its lines."""
    output = StringIO()
    call_command("sso_maintenance", stdout=output)
    return output.getvalue().splitlines()


def told() -> list[tuple[str, str]]:
    return sorted((message.to[0], message.subject) for message in delivered())


def actions() -> list[str]:
    events = AuditEvent.objects.filter(action__startswith="domain.").order_by("sequence")
    return list(events.values_list("action", flat=True))


# --- Proofs


def test_a_proof_is_looked_for_once_a_day(alice, dns):
    prove(alice, dns)
    dns.asked.clear()

    assert maintain() == []
    let_pass(timedelta(hours=21))
    assert maintain() == ["acme.test: still proven"]
    assert maintain() == []
    assert dns.asked == [("udp", CHALLENGE)]


def test_claims_that_are_not_proven_are_left_to_their_owners(alice, dns):
    claimed = proven_row(alice.workspace, verified_at=None, checked_at=timezone.now() - 3 * DAY)
    dns.records[CHALLENGE] = [claimed.dns_value]

    assert maintain() == []
    assert dns.asked == []


def test_a_lost_proof_is_told_to_every_active_owner_at_once_and_once(alice, bob, carol, dns):
    claimed = prove(alice, dns)
    Membership.objects.filter(user__in=[bob.user, carol.user]).update(role="owner")
    User.objects.filter(id=carol.user.id).update(is_active=False)
    dns.records.clear()
    let_pass(DAY)

    assert maintain() == ["acme.test: the record is missing, owners told"]

    sent = {message.to[0]: message for message in delivered()}
    assert sorted(sent) == ["alice@acme.test", "bob@acme.test"]
    row = WorkspaceDomain.objects.get()
    assert row.lost_at and sent["bob@acme.test"].subject == LOST
    ends_at = row.lost_at + timedelta(hours=72)
    assert f"{row.dns_name}\n{row.dns_value}" in sent["bob@acme.test"].body
    assert f"until {ends_at:%d %B %Y, %H:%M} UTC" in sent["bob@acme.test"].body
    shown = alice.client.get(f"{DOMAINS}/{claimed['id']}").json()
    assert (shown["status"], shown["verified_at"] is not None) == ("lost", True)
    assert datetime.fromisoformat(shown["counts_until"]) == ends_at
    assert covers(alice.workspace.id, "bob@acme.test")  # for the grace
    assert maintain() == ["acme.test: the record is still missing"]
    assert (told(), actions().count("domain.proof_lost")) == ([], 1)


def test_a_lost_proof_that_is_back_is_as_if_it_had_never_gone(alice, dns):
    claimed = prove(alice, dns)
    records = dict(dns.records)
    dns.records.clear()
    verify(alice, claimed)
    let_pass(timedelta(hours=71))
    dns.records.update(records)

    assert maintain() == ["acme.test: proven again, owners told"]

    assert told() == [("alice@acme.test", BACK), ("alice@acme.test", LOST)]
    let_pass(3 * DAY)
    assert maintain() == ["acme.test: still proven"]
    assert (told(), covers(alice.workspace.id, "bob@acme.test")) == ([], True)
    assert verify(alice, claimed).json()["lost_at"] is None


def test_a_proof_that_stays_lost_is_suspended_and_nobody_is_signed_in_by_it_any_more(alice, bob, carol, dns):
    claimed = prove(alice, dns)
    by_provider = issue(bob.membership, "saml", Client("192.0.2.9", "a browser"))
    dns.records.clear()
    verify(alice, claimed)
    told()
    let_pass(timedelta(hours=71))
    maintain()
    assert covers(alice.workspace.id, "bob@acme.test")

    let_pass(timedelta(hours=2))
    assert not covers(alice.workspace.id, "bob@acme.test")  # at that moment, not when the command runs
    assert maintain() == ["acme.test: the record is still missing", "acme.test: suspended, owners told"]

    row = WorkspaceDomain.objects.get()
    assert (row.verified_at, row.status) == (None, "suspended")
    assert told() == [("alice@acme.test", SUSPENDED)]
    event = AuditEvent.objects.get(action="domain.suspended")
    assert (event.workspace_id, event.changes) == (
        alice.workspace.id,
        {"domain": "acme.test", "sign_ins_ended": 1},
    )
    assert bearer(by_provider.access_token).get("/api/v1/auth/me").status_code == 401
    assert carol.client.get("/api/v1/auth/me").status_code == 200  # came by password
    assert SignIn.objects.get(id=bob.sign_in_id).revoked_at is None
    assert (maintain(), told()) == ([], [])


def test_a_suspended_domain_counts_again_when_an_owner_has_it_checked(alice, dns):
    claimed = prove(alice, dns)
    records = dict(dns.records)
    dns.records.clear()
    verify(alice, claimed)
    let_pass(4 * DAY)
    maintain()
    dns.records.update(records)
    assert maintain() == []

    assert verify(alice, claimed).json()["status"] == "proven"

    assert covers(alice.workspace.id, "bob@acme.test")
    assert actions()[-2:] == ["domain.suspended", "domain.proven"]


@pytest.mark.parametrize("mode", ["servfail", "refused", "silent"])
def test_a_dns_that_does_not_answer_loses_no_proof(alice, dns, mode):
    prove(alice, dns)
    dns.mode = mode
    let_pass(10 * DAY)

    assert maintain() == ["acme.test: the DNS did not answer, nothing changed"]

    assert (WorkspaceDomain.objects.get().status, told()) == ("proven", [])
    dns.mode = "answer"
    assert maintain() == ["acme.test: still proven"]


def test_many_silent_domains_take_seconds(alice, dns):
    for number in range(30):
        proven_row(alice.workspace, f"d{number}.test", checked_at=timezone.now() - DAY)
    dns.mode = "silent"

    began = time.monotonic()
    lines = maintain()

    assert lines == [f"d{number}.test: the DNS did not answer, nothing changed" for number in range(30)]
    assert time.monotonic() - began < 15


def test_required_single_sign_on_locks_nobody_out_when_the_last_domain_is_suspended(anyone, alice, bob, dns):
    claimed = prove(alice, dns)
    Workspace.objects.filter(id=alice.workspace.id).update(requires_sso=True)
    credentials = {"email": "bob@acme.test", "password": PASSWORD}
    refused = anyone.post(LOGIN, credentials, format="json")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "sso_required")

    row = WorkspaceDomain.objects.get(id=claimed["id"])
    dns.records.clear()
    row.lost_at = timezone.now() - timedelta(hours=73)
    row.save()
    at_the_end_of_the_grace = anyone.post(LOGIN, credentials, format="json")
    maintain()
    suspended = anyone.post(LOGIN, credentials, format="json")

    assert (at_the_end_of_the_grace.status_code, suspended.status_code) == (200, 200)
    assert bearer(suspended.json()["access_token"]).get("/api/v1/auth/me").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_several_runs_at_once_tell_everything_once(database_url, alice, dns):
    for number in range(6):
        prove(alice, dns, f"lost{number}.test")
        proven_row(alice.workspace, f"over{number}.test", lost_at=timezone.now() - 4 * DAY)
    dns.records.clear()
    let_pass(DAY)
    a_provider(alice.workspace, [certificate(5 * DAY)])

    with held_back() as messages:
        outputs = at_once(4, lambda _: in_a_process(database_url, dns))

    assert [output.returncode for output in outputs] == [0] * 4, outputs
    subjects = [message.subject for message in messages]
    assert len(subjects) == len(set(subjects)) == 6 + 6 + 1
    assert (actions().count("domain.proof_lost"), actions().count("domain.suspended")) == (6, 6)


def in_a_process(database_url: str, dns: DnsServer, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "sso_maintenance", *options]
    return subprocess.run(
        command, cwd=PROJECT, env=environment(database_url, dns), capture_output=True, text=True, check=False
    )


def environment(database_url: str, dns: DnsServer) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url, "DNS_RESOLVER": "{}:{}".format(*dns.address)}


# --- Certificates


def certificate(left: timedelta) -> str:
    """Return a certificate that ends after this time, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.test")])
    ends_at = datetime.now(UTC) + left
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(ends_at - timedelta(days=900)).not_valid_after(ends_at)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def a_provider(workspace: Workspace, certificates: list[str], **fields: Any) -> IdentityProvider:
    return IdentityProvider.objects.create(
        **{
            "workspace": workspace,
            "entity_id": "https://idp.test/metadata",
            "sso_url": "https://idp.test/sso",
            "certificates": certificates,
            **fields,
        }
    )


def sleep_for(provider: IdentityProvider, elapsed: timedelta, left: timedelta) -> None:
    """Let time pass for a provider whose certificate then has `left`."""
    warned_at = IdentityProvider.objects.get(id=provider.id).certificate_warned_at
    IdentityProvider.objects.filter(id=provider.id).update(
        certificates=[certificate(left)], certificate_warned_at=warned_at and warned_at - elapsed
    )


def test_the_end_of_a_certificate_is_told_once_at_each_step(alice):
    provider = a_provider(alice.workspace, [certificate(30 * DAY + timedelta(minutes=5))])
    assert (maintain(), told()) == ([], [])

    days_left = 30.0
    for now_left, is_told in [(29.9, 1), (29, 0), (7.1, 0), (6.9, 1), (6, 0), (1.1, 0), (0.9, 1), (-0.1, 1), (-9, 0)]:
        sleep_for(provider, (days_left - now_left) * DAY, now_left * DAY)
        days_left = now_left
        assert [len(maintain()), len(maintain()), len(delivered())] == [is_told, 0, is_told], now_left


def test_the_mail_says_which_certificate_ends_and_what_to_do(alice, bob):
    a_provider(alice.workspace, [certificate(5 * DAY)])
    ends_at = datetime.now(UTC) + 5 * DAY

    assert maintain() == [f"acme: certificate ends {ends_at:%Y-%m-%d}, owners told"]

    [sent] = delivered()
    assert (sent.to, sent.subject) == (
        ["alice@acme.test"],
        f"The certificate of your identity provider expires on {ends_at:%d %B %Y}",
    )
    assert "Acme's identity provider https://idp.test/metadata" in sent.body


def test_steps_that_passed_while_nothing_ran_are_told_in_one_mail(alice):
    a_provider(alice.workspace, [certificate(-2 * DAY)])

    maintain()

    assert [sent.subject.split(" on ")[0] for sent in delivered()] == [
        "The certificate of your identity provider expired"
    ]


@pytest.mark.parametrize(
    ("fields", "is_told"),
    [
        ({}, True),
        ({"certificates": [certificate(2 * DAY), certificate(90 * DAY)]}, False),
        ({"certificates": [certificate(2 * DAY), certificate(5 * DAY)]}, True),
        ({"certificates": []}, False),
        ({"is_enabled": False}, False),
        ({"state": "staged"}, False),
        ({"state": "former"}, False),
    ],
    ids=["one", "a-longer-one", "two", "none", "disabled", "staged", "former"],
)
def test_only_the_last_certificate_of_a_serving_connection_matters(alice, fields, is_told):
    a_provider(alice.workspace, **{"certificates": [certificate(2 * DAY)], **fields})

    maintain()

    assert len(delivered()) == is_told


@pytest.mark.parametrize("changes", [{"plan": "team"}, {"suspended_at": timezone.now()}])
def test_workspaces_without_single_sign_on_are_not_warned(alice, changes):
    a_provider(alice.workspace, [certificate(2 * DAY)])
    Workspace.objects.update(**changes)

    assert (maintain(), told()) == ([], [])


def test_one_that_fails_stops_no_other(alice, mallory, dns, caplog):
    a_provider(alice.workspace, ["no certificate"])
    a_provider(mallory.workspace, [certificate(2 * DAY)])
    proven_row(alice.workspace, checked_at=None)

    lines = maintain()

    assert {line.split(" (")[0] for line in lines} == {
        "acme.test: the record is missing, owners told",
        "warn_of_certificate failed",
        f"other: certificate ends {datetime.now(UTC) + 2 * DAY:%Y-%m-%d}, owners told",
    }
    assert "_warn_of_certificate of <IdentityProvider: serving identity provider of" in caplog.text


# --- Metadata


@pytest.mark.parametrize(
    ("fields", "is_read"),
    [
        ({}, True),
        ({"metadata_read_at": timezone.now() - timedelta(hours=21)}, True),
        ({"metadata_read_at": timezone.now() - timedelta(hours=19)}, False),
        ({"metadata_url": ""}, False),
        ({"state": "staged"}, True),
        ({"state": "former"}, False),
        ({"is_enabled": False}, True),
    ],
    ids=["never", "yesterday", "today", "no-address", "staged", "former", "disabled"],
)
def test_metadata_is_read_once_a_day(alice, fields, is_read):
    """Here at an address that is refused; what a reading does is in tests/test_saml_config_metadata_reread.py."""
    a_provider(alice.workspace, [certificate(90 * DAY)], **{"metadata_url": "https://127.0.0.1:9/metadata", **fields})

    lines = maintain()

    assert [line.startswith("acme: metadata not taken: ") for line in lines] == [True] * is_read
    assert bool(IdentityProvider.objects.get().metadata_problem) is is_read
    assert len(delivered()) == is_read


@pytest.mark.parametrize("changes", [{"plan": "team"}, {"suspended_at": timezone.now()}])
def test_metadata_of_workspaces_without_single_sign_on_is_not_read(alice, changes):
    a_provider(alice.workspace, [certificate(90 * DAY)], metadata_url="https://127.0.0.1:9/metadata")
    Workspace.objects.update(**changes)

    assert maintain() == []


# --- How it runs


def test_without_a_database_the_command_says_so_and_fails(database_url, dns):
    gone = in_a_process("postgresql://nobody@127.0.0.1:9/none", dns)

    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr.strip().splitlines()[-1] == "CommandError: The database does not answer (OperationalError)."


@pytest.mark.django_db(transaction=True)
def test_it_runs_again_and_again(database_url, alice, dns, tmp_path):
    with in_the_background(database_url, dns, tmp_path / "log") as log:
        for domain in ("first.test", "second.test"):
            proven_row(alice.workspace, domain, checked_at=None)
            wait_for(f"{domain}: the record is missing", log)


def test_it_outlives_a_database_that_is_gone(dns, tmp_path):
    with in_the_background("postgresql://nobody@127.0.0.1:9/none", dns, tmp_path / "log") as log:
        wait_for("Trying again in 1 s.", log, times=2)


@contextmanager
def in_the_background(database_url: str, dns: DnsServer, log: Path) -> Iterator[Path]:
    """Run the command every second; it runs still when the block ends."""
    command = [sys.executable, "manage.py", "sso_maintenance", "--every", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment(database_url, dns), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield log
    finally:
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


def wait_for(line: str, log: Path, times: int = 1) -> None:
    deadline = time.monotonic() + 30
    while log.read_text().count(line) < times:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_the_composed_service_runs_it_every_hour_where_the_dns_is_reached():
    services = YAML(typ="safe").load(PROJECT / "docker-compose.yml")["services"]
    maintenance, web = services["maintenance"], services["web"]

    assert maintenance["command"] == ["python", "manage.py", "sso_maintenance", "--every", "3600"]
    assert "front" in maintenance["networks"]  # the other network leads nowhere
    for name in ("image", "environment", "secrets", "restart", "read_only", "cap_drop"):
        assert maintenance[name] == web[name]
