"""A key that changed, or was used, while a page about it stood open."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from lxml import html

from accounts.models import AuditEvent, CredentialUsage
from accounts.scopes import SCOPE_BITS
from apikeys.models import ApiKey
from dashboard.session import FRESH_FOR
from tests.support.cast import Actor
from tests.support.pages import age_session, fill_in, hidden_fields, signed_in

PLACE = "/settings/api-keys"
BOTH = ["geofences:read", "geofences:write"]


@pytest.fixture
def key(alice: Actor) -> ApiKey:
    return alice.make_key(BOTH, name="CI", hourly_limit=500)[0]


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def drawn(page: Client, key: ApiKey) -> dict:
    """Return what the form about the key holds, as it is drawn now."""
    fields = {"name": key.name, "description": "", "permissions": key.scopes, "rate_limit_per_hour": "500"}
    return hidden_fields(page.get(f"{PLACE}/{key.id}/edit")) | fields


def test_an_old_tab_gives_no_right_back(page: Client, key: ApiKey):
    old_tab = drawn(page, key)
    ApiKey.objects.update(scopes=["geofences:read"], is_read_only=True, hourly_limit=50)

    answer = page.post(f"{PLACE}/{key.id}/edit", {**old_tab, "name": "CI, nightly"})

    kept = ApiKey.objects.get()
    assert answer.status_code == 302 and kept.name == "CI, nightly"
    assert (kept.scopes, kept.is_read_only, kept.hourly_limit) == (["geofences:read"], True, 50)
    assert AuditEvent.objects.latest("sequence").changes == {"name": "CI, nightly"}


@pytest.mark.parametrize(
    ("meanwhile", "typed", "field"),
    [
        ({"name": "<b>Theirs"}, {"name": "Mine"}, "name"),
        ({"scopes": ["geofences:read"]}, {"permissions": ["devices:read"]}, "permissions"),
        ({"scopes": ["geofences:read"]}, {"permissions": []}, "permissions"),
        ({"hourly_limit": 20}, {"rate_limit_per_hour": "400"}, "rate_limit_per_hour"),
    ],
)
def test_who_changes_the_same_is_told_and_decides(page: Client, key: ApiKey, meanwhile: dict, typed: dict, field: str):
    old_tab = drawn(page, key)
    ApiKey.objects.update(**meanwhile)
    before = ApiKey.objects.values().get()

    refused = page.post(f"{PLACE}/{key.id}/edit", {**old_tab, **typed})

    text = refused.content.decode()
    assert refused.status_code == 409 and list(refused.context["form"].errors) == [field]
    assert "since somebody changed it" in text and "<b>Theirs" not in text
    assert ApiKey.objects.values().get() == before
    again = {**old_tab, **typed, **hidden_fields(refused)}
    assert page.post(f"{PLACE}/{key.id}/edit", again).status_code == 302
    assert ApiKey.objects.values().get() != before


def test_saving_again_after_a_conflict_writes_over_nothing_else(page: Client, key: ApiKey):
    old_tab = drawn(page, key)
    ApiKey.objects.update(name="Theirs", scopes=["geofences:read"], hourly_limit=50)

    refused = page.post(f"{PLACE}/{key.id}/edit", {**old_tab, "name": "Mine"})
    answer = page.post(f"{PLACE}/{key.id}/edit", {**old_tab, "name": "Mine", **hidden_fields(refused)})

    kept = ApiKey.objects.get()
    assert (refused.status_code, answer.status_code) == (409, 302)
    assert (kept.name, kept.scopes, kept.hourly_limit) == ("Mine", ["geofences:read"], 50)


def test_the_same_change_twice_is_no_conflict(page: Client, key: ApiKey):
    old_tab = drawn(page, key)
    ApiKey.objects.update(name="Both of us")

    assert page.post(f"{PLACE}/{key.id}/edit", {**old_tab, "name": "Both of us"}).status_code == 302


def test_what_else_is_wrong_keeps_what_was_seen(page: Client, key: ApiKey):
    old_tab = drawn(page, key)
    ApiKey.objects.update(scopes=["geofences:read"])

    wrong = page.post(f"{PLACE}/{key.id}/edit", {**old_tab, "name": ""})
    mended = page.post(f"{PLACE}/{key.id}/edit", {**old_tab, **hidden_fields(wrong), "name": "Named"})

    assert (wrong.status_code, mended.status_code) == (422, 302)
    assert ApiKey.objects.get().scopes == ["geofences:read"]


def test_widening_is_judged_by_what_the_key_is_now(page: Client, key: ApiKey):
    old_tab = drawn(page, key)
    ApiKey.objects.update(scopes=["geofences:read"])
    age_session(page, FRESH_FOR + 1)

    # Against what was seen this takes a right away; against what is, it gives one.
    seen = {**json.loads(old_tab["seen"]), "scopes": ["geofences:read"]}
    body = {**old_tab, "permissions": ["geofences:write"], "seen": json.dumps(seen)}
    answer = page.post(f"{PLACE}/{key.id}/edit", body)

    assert answer["Location"].startswith("/confirm?") and ApiKey.objects.get().scopes == ["geofences:read"]


@pytest.mark.parametrize("seen", ["", "[1]", "{", "{}", '{"scopes": 5, "nothing": 1}'])
def test_a_form_that_does_not_say_what_was_seen_changes_nothing(page: Client, key: ApiKey, seen: str):
    path, form = f"{PLACE}/{key.id}/edit", {**drawn(page, key), "name": "Told"}
    before = ApiKey.objects.values().get()

    refused = page.post(path, {**form, "seen": seen})

    assert refused.status_code == 409 and f'href="{path}">Open the page again' in refused.content.decode()
    assert ApiKey.objects.values().get() == before
    assert page.post(path, form).status_code == 302 and ApiKey.objects.get().name == "Told"


@pytest.mark.parametrize("shown", [[], {"a": 1}, [["geofences:read"]], 5, None])
def test_a_form_that_says_it_showed_something_else_gives_no_right(page: Client, key: ApiKey, shown: Any):
    form = {**drawn(page, key), "permissions": ["devices:read"]}
    lied = json.dumps({**json.loads(form["seen"]), "scopes": shown})

    assert page.post(f"{PLACE}/{key.id}/edit", {**form, "seen": lied}).status_code == 409
    assert ApiKey.objects.get().scopes == BOTH


def refuse(key: ApiKey, requests: int = 0) -> None:
    """Note that the key was refused by its limit, and let through so often."""
    now = timezone.now()
    CredentialUsage.objects.create(
        credential_id=key.id,
        workspace_id=key.workspace_id,
        started_at=now - timedelta(minutes=1),
        requests=requests,
        refusals=7,
        last_used_at=now,
        last_refused_at=now,
        last_ip="203.0.113.9",
        last_user_agent="curl/8",
    )


def test_who_is_refused_with_the_old_key_is_not_called_nobody(page: Client, key: ApiKey):
    fill_in(page, f"{PLACE}/{key.id}/rotate", {"grace_period_days": "3"})
    key.refresh_from_db()
    before = page.get(f"{PLACE}/{key.replaced_by_id}").content.decode()
    refuse(key)

    for path in (f"{PLACE}/{key.id}", f"{PLACE}/{key.replaced_by_id}"):
        text = page.get(path).content.decode()
        assert "Somebody still sends the old key" in text and "203.0.113.9" in text
        assert "Nobody has used the old key" not in text
    assert "Nobody has used the old key" in before


def test_the_facts_count_refusals_and_refresh_with_the_charts(page: Client, key: ApiKey):
    refuse(key, 5)

    text = page.get(f"{PLACE}/{key.id}").content.decode()

    [live] = html.document_fromstring(text).xpath("//*[@data-live]")
    shown = " ".join(live.text_content().split())
    assert "Requests5, and 7 refused by the hourly limit" in shown
    assert "Permissions" in shown and "Last 48 hours" in shown


def test_a_page_says_no_more_than_was_watched(page: Client, alice: Actor):
    key, _ = alice.make_key(BOTH, created_at=timezone.now() - timedelta(days=9, minutes=5))
    refuse(key, 5)
    CredentialUsage.objects.update(scopes_used=SCOPE_BITS["geofences:read"])

    for path in (f"{PLACE}/{key.id}", f"{PLACE}/{key.id}/narrow"):
        text = page.get(path).content.decode()
        assert "in the 9 days that it was watched" in text.lower() and "in the last 30 days" not in text.lower()
