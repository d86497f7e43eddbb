"""The hourly command of single sign-on and identity providers: certificates that end, metadata read once a day."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Workspace
from sso.models import IdentityProvider
from tests.support.domains import proven_row
from tests.support.mails import delivered
from tests.support.sso_maintenance import DAY, a_provider, certificate, maintain, told

pytest_plugins = ["tests.support.dns_fixtures"]
pytestmark = pytest.mark.django_db


# --- Certificates


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
