"""What is removed when its time is over, and what stays: `manage.py prune`."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone
from ruamel.yaml import YAML

from accounts.models import AuditEvent, CredentialUsage, Invitation, MailedToken, OutgoingMail, SignIn
from accounts.outbox import sealed
from apikeys.models import ApiKey
from sso.models import IdentityProvider, LoginCode, OAuthState, SamlAttempt, SamlRequest, SpentToken
from tests.faults.clocks import wrong_clock
from tests.support.cast import Actor
from tests.support.launch import PROJECT
from tests.support.mails import delivered
from tests.support.race import at_once, call

pytestmark = pytest.mark.django_db
real = pytest.mark.django_db(transaction=True)
KEYS = "/api/v1/account/api-keys"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def prune() -> list[str]:
    output = StringIO()
    call_command("prune", stdout=output)
    return output.getvalue().splitlines()


def test_nothing_that_lives_is_touched(alice, bob, acme_key):
    acme_key().get("/api/v1/geofences")
    alice.client.post("/api/v1/workspaces/invitations", {"email": "x@guests.test", "role": "member"}, format="json")
    delivered()
    events = AuditEvent.objects.count()

    assert prune() == []

    assert SignIn.objects.count() == 2 and Invitation.objects.count() == 1
    assert AuditEvent.objects.count() == events


def test_the_audit_trail_stays_however_old(alice, database_url):
    alice.client.post(KEYS, {"name": "CI"}, format="json")
    before = list(AuditEvent.objects.order_by("sequence").values_list("sequence", "hash"))
    SignIn.objects.update(expires_at=timezone.now() - 400 * DAY)

    prune()

    assert before and list(AuditEvent.objects.order_by("sequence").values_list("sequence", "hash")) == before


def test_a_persons_old_sign_ins_go_but_the_last(alice, bob):
    for _ in range(3):
        alice.sign_in_again()
    ends = [sign_in.id for sign_in in SignIn.objects.filter(user=alice.user).order_by("created_at")]
    SignIn.objects.filter(user=alice.user).update(expires_at=timezone.now() - 91 * DAY)
    SignIn.objects.filter(id=ends[1]).update(expires_at=timezone.now() - 89 * DAY)
    SignIn.objects.filter(user=bob.user).update(expires_at=timezone.now() - 200 * DAY)

    assert prune() == ["ended sign-ins: 2"]

    assert set(SignIn.objects.filter(user=alice.user).values_list("id", flat=True)) == {ends[1], ends[3]}
    assert SignIn.objects.filter(user=bob.user).exists()
    assert prune() == []


def test_a_new_device_is_still_noticed_after_years(alice):
    SignIn.objects.update(expires_at=timezone.now() - 900 * DAY)
    prune()

    alice.sign_in_again()

    assert [message.to for message in delivered()] == [["alice@acme.test"]]


def test_links_invitations_and_mail_go_when_their_time_is_over(alice):
    now = timezone.now()
    for number, (purpose, ago) in enumerate([("verify_email", 25 * HOUR), ("reset_password", 23 * HOUR)]):
        digest = bytes([number]) * 32
        MailedToken.objects.create(user=alice.user, purpose=purpose, digest=digest, email="x", expires_at=now - ago)
    moments: list[dict[str, Any]] = [
        {"expires_at": now - 91 * DAY},
        {"expires_at": now - 89 * DAY},
        {"expires_at": now - 99 * DAY, "used_at": now - 91 * DAY},
        {"expires_at": now - 99 * DAY, "used_at": now - 89 * DAY},
        {"expires_at": now + DAY, "revoked_at": now - 91 * DAY},
    ]
    for number, fields in enumerate(moments):
        Invitation.objects.create(
            workspace=alice.workspace, email=f"{number}@x.test", role="member", digest=bytes([number]) * 32, **fields
        )
    for ago in (6 * DAY, 8 * DAY):
        OutgoingMail.objects.create(
            kind="verify_email", parameters=sealed(), created_at=now - ago, not_before=now + DAY
        )

    assert sorted(prune()) == ["mail that never went out: 1", "mailed links: 1", "past invitations: 3"]

    assert MailedToken.objects.get().purpose == "reset_password"
    assert set(Invitation.objects.values_list("email", flat=True)) == {"1@x.test", "3@x.test"}
    assert OutgoingMail.objects.get().created_at == now - 6 * DAY


def test_what_single_sign_on_needed_once_goes(alice):
    now = timezone.now() - timedelta(seconds=1)
    provider = IdentityProvider.objects.create(
        workspace=alice.workspace, entity_id="https://idp.test/metadata", sso_url="https://idp.test/sso"
    )
    of_alice = {"user": alice.user, "workspace": alice.workspace, "provider": "google", "code_challenge": "x" * 43}
    for number in range(3):
        LoginCode.objects.issue(**of_alice)
        SamlRequest.objects.issue(
            provider=provider, workspace=provider.workspace, revision=1, intent="client", browser_digest=b"x" * 32
        )
        SamlAttempt.objects.create(workspace=alice.workspace, provider=provider, reference=f"REF{number}")
    LoginCode.objects.filter(id__in=list(LoginCode.objects.values_list("id", flat=True)[:2])).update(expires_at=now)
    SamlRequest.objects.update(expires_at=now)
    SamlAttempt.objects.filter(reference="REF0").update(created_at=now - 31 * DAY)
    SamlAttempt.objects.filter(reference="REF1").update(created_at=now - 29 * DAY)
    spend(1300)

    assert prune() == ["login codes: 2", "saml requests: 3", "spent tokens: 1300", "saml attempts: 1"]

    assert (LoginCode.objects.count(), OAuthState.objects.count(), SamlRequest.objects.count()) == (1, 0, 0)
    assert set(SamlAttempt.objects.values_list("reference", flat=True)) == {"REF1", "REF2"}


def spend(count: int) -> None:
    SpentToken.objects.bulk_create(
        SpentToken(provider="google", digest=number.to_bytes(32), expires_at=timezone.now() - DAY)
        for number in range(count)
    )


def test_expired_counters_go(db):
    with connections["counters"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO spatialflow_counter"
            " SELECT 'k' || n, 1, now() - interval '1 second' FROM generate_series(1, 1500) n"
        )
        cursor.execute("INSERT INTO spatialflow_counter VALUES ('live', 1, now() + interval '1 hour')")
        assert prune() == ["counters: 1500"]
        cursor.execute("SELECT key FROM spatialflow_counter")
        assert cursor.fetchall() == [("live",)]


def test_a_revoked_key_goes_after_a_quarter_and_its_successor_stays(alice):
    old, _ = alice.make_key()
    new, _ = alice.make_key()
    ApiKey.objects.filter(id=old.id).update(revoked_at=timezone.now() - 91 * DAY, replaced_by=new)
    alice.make_key(revoked_at=timezone.now() - 89 * DAY)

    assert prune() == ["revoked API keys: 1"]

    assert set(ApiKey.objects.values_list("id", flat=True)) > {new.id} and ApiKey.objects.count() == 2


# --- The use of keys


def use(credential: Any, actor: Actor, ago: timedelta, requests: int, refusals: int = 0) -> None:
    started = timezone.now().replace(microsecond=0) - ago
    CredentialUsage.objects.create(
        credential_id=credential,
        workspace_id=actor.workspace.id,
        started_at=started,
        requests=requests,
        refusals=refusals,
        last_used_at=started,
        last_refused_at=started if refusals else None,
        last_ip="203.0.113.5",
        last_user_agent=f"client/{requests}",
    )


def shown(alice: Actor, key: ApiKey) -> dict[str, Any]:
    return dict(alice.client.get(f"{KEYS}/{key.id}").json())


def test_a_keys_use_is_the_same_before_and_after(alice):
    key, _ = alice.make_key()
    for ago, requests, refusals in ((300 * DAY, 5, 2), (91 * DAY, 7, 0), (3 * DAY, 11, 1), (HOUR, 13, 0)):
        use(key.id, alice, ago, requests, refusals)
    before = shown(alice, key), alice.client.get(f"{KEYS}/{key.id}/usage?days=90").json()["hours"]
    assert before[0]["usage_count"] == 36

    assert sorted(prune()) == ["hours of use: 1", "keys whose use was added up: 1"]

    assert (shown(alice, key), alice.client.get(f"{KEYS}/{key.id}/usage?days=90").json()["hours"]) == before
    summed = ApiKey.objects.with_usage().get(id=key.id)
    assert (summed.refusal_count, summed.last_refused_at.date()) == (3, (timezone.now() - 3 * DAY).date())
    assert prune() == []


def test_a_list_adds_up_two_days_at_most(alice):
    """The hours before those may go, and the sum stays: nobody reads them for a list."""
    key, _ = alice.make_key()
    for days in range(2, 60):
        use(key.id, alice, days * DAY, 10)
    use(key.id, alice, HOUR, 1)
    prune()
    CredentialUsage.objects.filter(started_at__lt=timezone.now() - 2 * DAY).delete()

    assert shown(alice, key)["usage_count"] == 581


def test_a_rotation_counts_what_was_added_up(alice):
    key, _ = alice.make_key()
    use(key.id, alice, 5 * DAY, 10)
    use(key.id, alice, HOUR, 4)
    prune()

    alice.client.post(f"{KEYS}/{key.id}/rotate")
    use(key.id, alice, timedelta(minutes=1), 3)

    assert (shown(alice, key)["usage_count"], shown(alice, key)["usage_count_since_rotation"]) == (17, 3)


def test_when_a_key_was_used_last_is_known_for_good_and_of_a_sign_in_for_a_quarter(alice):
    key, _ = alice.make_key()
    for ago in (300 * DAY, 200 * DAY):
        use(key.id, alice, ago, 5)
        use(alice.sign_in_id, alice, ago, 5)
    before = shown(alice, key)

    prune()

    assert shown(alice, key) == before
    old = CredentialUsage.objects.filter(started_at__lt=timezone.now() - 93 * DAY)
    assert list(old.values_list("credential_id", flat=True)) == [key.id]


def test_what_could_not_be_added_up_is_not_deleted(alice):
    key, _ = alice.make_key()
    use(key.id, alice, 300 * DAY, 5)
    use(key.id, alice, 200 * DAY, 5)
    with someone_else_adds_up():
        assert prune() == []

    assert CredentialUsage.objects.filter(credential_id=key.id).count() == 2


@contextmanager
def someone_else_adds_up() -> Iterator[None]:
    place = connections["default"].settings_dict
    with psycopg.connect(host=place["HOST"], user=place["USER"], dbname=place["NAME"]) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [0x5F10_0002])
        yield


# --- How it runs


@real
def test_several_at_once_beside_a_service_remove_everything_and_count_it_once(server, alice):
    made = [alice.make_key() for _ in range(30)]
    for key, _ in made:
        for days in (1, 2, 3, 100, 200):
            use(key.id, alice, days * DAY + HOUR, 10)
    spend(2000)
    over = threading.Event()
    used = threading.Thread(target=use_until, args=[server, made[0][1], over])
    used.start()
    try:
        lines = at_once(4, lambda _: prune_and_close())
    finally:
        over.set()
        used.join()

    removed = sum(int(line.rpartition(" ")[2]) for line in sum(lines, []) if line.startswith("spent tokens"))
    assert (removed, SpentToken.objects.count()) == (2000, 0)
    prune()
    counted = dict(ApiKey.objects.with_usage().values_list("id", "usage_count"))
    assert {counted[key.id] for key, _ in made[1:]} == {50}
    today = CredentialUsage.objects.filter(credential_id=made[0][0].id, started_at__gt=timezone.now() - DAY)
    now = sum(today.values_list("requests", flat=True))
    assert now > 0 and counted[made[0][0].id] == 50 + now


def use_until(server: str, raw: str, over: threading.Event) -> None:
    while not over.is_set():
        assert call(server, "GET", "/api/v1/geofences", headers={"X-API-KEY": raw}).status == 200
        time.sleep(0.02)


def prune_and_close() -> list[str]:
    try:
        return prune()
    finally:
        connections.close_all()


@real
def test_a_row_that_somebody_holds_is_left_for_the_next_time(alice, bob):
    for actor in (alice, bob):
        fields = {"digest": actor.user.id.bytes * 2, "email": "x", "expires_at": timezone.now() - 2 * DAY}
        MailedToken.objects.create(user=actor.user, purpose="verify_email", **fields)
    place = connections["default"].settings_dict
    with psycopg.connect(host=place["HOST"], user=place["USER"], dbname=place["NAME"]) as other:
        other.execute("SELECT FROM accounts_mailedtoken WHERE user_id = %s FOR UPDATE", [alice.user.id])
        assert prune() == ["mailed links: 1"]

    assert prune() == ["mailed links: 1"]


@real
def test_one_that_fails_stops_no_other_and_waits_a_second_at_most(alice, caplog):
    spend(3)
    place = connections["default"].settings_dict
    with psycopg.connect(host=place["HOST"], user=place["USER"], dbname=place["NAME"]) as other:
        other.execute("LOCK TABLE accounts_invitation IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        with pytest.raises(CommandError, match=r"^Not finished: past invitations\. See the log"):
            prune()

    assert time.monotonic() - begun < 4
    assert "pruning past invitations failed (OperationalError)" in caplog.text
    assert not SpentToken.objects.exists()


def test_without_a_database_it_says_so_and_fails():
    environment = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}
    command = [sys.executable, "manage.py", "prune"]
    gone = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)

    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr.strip().splitlines()[-1] == "CommandError: The database does not answer (OperationalError)."


@real
def test_one_that_repeats_itself_goes_on_after_its_connections_were_cut(database_url, alice):
    address = f"{database_url}{'&' if '?' in database_url else '?'}application_name=pruner"
    command = [sys.executable, "manage.py", "prune", "--every", "1"]
    spend(1)
    with subprocess.Popen(command, cwd=PROJECT, env={**os.environ, "DATABASE_URL": address}) as pruner:
        try:
            assert is_removed_soon()
            with connections["default"].cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pruner'"
                )
            spend(1)
            assert is_removed_soon()
        finally:
            pruner.terminate()


@real
def test_a_host_whose_clock_is_ahead_removes_nothing_that_still_counts(database_url, alice):
    spend(1)
    environment = {**os.environ, "DATABASE_URL": database_url, **wrong_clock(3600)}
    command = [sys.executable, "manage.py", "prune"]

    SpentToken.objects.update(expires_at=timezone.now() + timedelta(minutes=5))
    subprocess.run(command, cwd=PROJECT, env=environment, check=True)
    assert SpentToken.objects.count() == 1

    SpentToken.objects.update(expires_at=timezone.now() - timedelta(minutes=5))
    subprocess.run(command, cwd=PROJECT, env=environment, check=True)
    assert not SpentToken.objects.exists()


def is_removed_soon() -> bool:
    deadline = time.monotonic() + 15
    while SpentToken.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not SpentToken.objects.exists()


def test_the_composed_service_runs_it_every_hour():
    services = YAML(typ="safe").load(PROJECT / "docker-compose.yml")["services"]
    assert services["prune"]["command"] == ["python", "manage.py", "prune", "--every", "3600"]
    for name in ("image", "environment", "secrets", "restart", "read_only", "cap_drop"):
        assert services["prune"][name] == services["web"][name]
