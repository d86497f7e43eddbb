"""Days and times of the pages: in the time zone and the formats of whoever reads them, also where they choose a day."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone
from lxml import html

from accounts.models import AuditEvent, CredentialUsage, Invitation, User
from apikeys.models import ApiKey
from tests.support.cast import Actor
from tests.support.pages import fill_in, signed_in

ZURICH = ZoneInfo("Europe/Zurich")
EARLY, LATE = ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Pago_Pago")  # 14 hours ahead of UTC, 11 behind it
KEYS, AUDIT, INVITATIONS = "/settings/api-keys", "/settings/audit-log", "/settings/members/invitations"


def reads_in(actor: Actor, zone: object, **preferences: str) -> Client:
    """Return the browser of somebody who has chosen how they read times."""
    User.objects.filter(id=actor.user.id).update(timezone=str(zone), preferences=preferences)
    return signed_in(actor)


def times(answer: Any, path: str = "//main//time") -> list[tuple[str, str, str]]:
    """Return what each time of a page is to machines, to people, and to whoever points at it."""
    page = html.document_fromstring(answer.content.decode())
    return [(each.get("datetime"), each.text_content(), each.get("title")) for each in page.xpath(path)]


def ending(actor: Actor, moment: datetime) -> ApiKey:
    key: ApiKey = actor.make_key(expires_at=moment)[0]
    return key


@pytest.mark.parametrize(
    ("zone", "preferences", "shown"),
    [
        ("UTC", {}, "2031-07-09, 23:05 UTC"),
        ("Europe/Zurich", {}, "2031-07-10, 01:05 CEST"),
        ("Europe/Zurich", {"date_format": "DD.MM.YYYY", "time_format": "12h"}, "10.07.2031, 1:05 am CEST"),
        ("America/New_York", {"date_format": "MM/DD/YYYY", "time_format": "12h"}, "07/09/2031, 7:05 pm EDT"),
        ("Asia/Kathmandu", {"date_format": "DD/MM/YYYY", "time_format": "24h"}, "10/07/2031, 04:50 UTC+0545"),
        ("Nowhere/Any_More", {"date_format": "of a later version"}, "2031-07-09, 23:05 UTC"),
    ],
)
def test_a_moment_is_written_as_whoever_reads_it_wants(
    alice: Actor, zone: str, preferences: dict[str, str], shown: str
):
    invitation = Invitation.objects.create(
        workspace=alice.workspace, email="guest@acme.test", role="member", expires_at="2031-07-09T23:05:06Z"
    )

    found = times(reads_in(alice, zone, **preferences).get(f"{INVITATIONS}/{invitation.id}"))

    assert found[-1][0] == "2031-07-09T23:05:06+00:00"
    assert found[-1][2].replace(":06", "", 1) == shown


def test_a_page_that_names_the_moment_itself_names_the_zone(alice: Actor):
    page = reads_in(alice, ZURICH, date_format="DD.MM.YYYY")
    event = AuditEvent.objects.filter(workspace_id=alice.workspace.id).latest("sequence")

    exact, distance = times(page.get(f"{AUDIT}/{event.id}"))

    here = event.created_at.astimezone(ZURICH)
    assert exact[1:] == (f"{here:%d.%m.%Y, %H:%M:%S %Z}", "Europe/Zurich") and distance[2] == exact[1]
    assert exact[0] == event.created_at.isoformat(timespec="seconds")


def test_another_zone_counts_on_the_next_page_in_every_browser(alice: Actor):
    page = reads_in(alice, "UTC")
    alice.client.put("/api/v1/account/me", {"timezone": "Europe/Zurich"}, format="json")

    text = page.get(f"{KEYS}/new").content.decode()

    assert "until the end of that day in your time zone (Europe/Zurich)." in text


def test_a_day_that_is_chosen_ends_where_its_person_is(alice: Actor):
    page, day = reads_in(alice, EARLY), (timezone.now() + timedelta(days=30)).date()
    key, invitation = (
        ending(alice, timezone.now() + timedelta(days=90)),
        Invitation.objects.create(
            workspace=alice.workspace, email="g@acme.test", role="member", expires_at=timezone.now() + timedelta(days=1)
        ),
    )

    fill_in(page, f"{KEYS}/new", {"name": "CI", "expires_in": "date", "expires_at": f"{day}"})
    page.post(f"{KEYS}/{key.id}/expiration", {"expires_in": "date", "expires_at": f"{day}"})
    told = page.post(f"{INVITATIONS}/{invitation.id}/extend", {"expires_at": f"{day}"}, follow=True)

    last_second = datetime.combine(day, time(23, 59, 59), EARLY)
    keys = ApiKey.objects.filter(workspace=alice.workspace).values_list("expires_at", flat=True)
    assert {*keys, Invitation.objects.get().expires_at} == {last_second} and len(keys) == 2
    assert f"works until {day}, 23:59 UTC+14." in told.content.decode()


@pytest.mark.parametrize("chosen", ["2031-02-30", "9999-12-31", "0001-01-01", "soon"])
def test_what_is_no_day_is_refused_at_its_field(alice: Actor, chosen: str):
    page, key = reads_in(alice, EARLY), ending(alice, timezone.now() + timedelta(days=90))

    answers = [
        page.post(f"{KEYS}/{key.id}/expiration", {"expires_in": "date", "expires_at": chosen}),
        page.get(f"{AUDIT}?date_from={chosen}&date_to={chosen}"),
    ]

    assert answers[0].status_code == 422 and 'id="id_expires_at-errors"' in answers[0].content.decode()
    assert answers[1].status_code in (200, 422)


def test_days_of_the_audit_log_are_days_where_its_reader_is(alice: Actor):
    event = AuditEvent.objects.filter(workspace_id=alice.workspace.id).latest("sequence")
    zone = LATE if event.created_at.hour < 10 else EARLY  # another day there than in UTC at this moment
    page, here, elsewhere = reads_in(alice, zone), event.created_at.astimezone(zone).date(), event.created_at.date()

    def has_it(day: date) -> bool:
        listed = page.get(f"{AUDIT}?date_from={day}&date_to={day}").content.decode()
        exported = page.post(f"{AUDIT}/export", {"date_from": day, "date_to": day, "export_format": "json"})
        in_export = str(event.id) in b"".join(exported.streaming_content).decode()
        assert in_export == (f"{AUDIT}/{event.id}" in listed)
        return in_export

    assert here != elsewhere and has_it(here) and not has_it(elsewhere)


def test_charts_count_by_the_days_and_hours_of_their_reader(alice: Actor):
    key = ending(alice, timezone.now() + timedelta(days=90))
    late = datetime.combine(timezone.now().date() - timedelta(days=5), time(23, 30), UTC)
    for moment in (late, timezone.now() - timedelta(hours=3)):
        used = {"requests": 7, "refusals": 0, "last_used_at": moment, "last_ip": "203.0.113.9"}
        CredentialUsage.objects.create(credential_id=key.id, workspace_id=key.workspace_id, started_at=moment, **used)

    read = {zone: times(reads_in(alice, zone).get(f"{KEYS}/{key.id}"), "//tbody//th/time") for zone in (UTC, ZURICH)}

    days = {zone: [(moment, text) for moment, text, _ in found if len(moment) == 10] for zone, found in read.items()}
    day, next_day = late.date(), late.date() + timedelta(days=1)
    assert days[UTC][-1] == (f"{day}", f"{day:%d %b}") and days[ZURICH][-1] == (f"{next_day}", f"{next_day:%d %b}")
    for zone, found in read.items():
        ((moment, text, _),) = [each for each in found if len(each[0]) > 10]
        assert text == f"{datetime.fromisoformat(moment).astimezone(zone):%d %b, %H:%M}"
