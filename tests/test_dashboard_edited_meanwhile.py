"""A key that somebody changed while the form about it stood open."""

import pytest
from django.test import Client

from accounts.models import AuditEvent
from apikeys.models import ApiKey
from dashboard.session import FRESH_FOR
from tests.support.cast import Actor
from tests.support.pages import age_session, hidden_fields, signed_in

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
    body = {**old_tab, "permissions": ["geofences:write"], "seen": "{}"}
    answer = page.post(f"{PLACE}/{key.id}/edit", body)

    assert answer["Location"].startswith("/confirm?") and ApiKey.objects.get().scopes == ["geofences:read"]


@pytest.mark.parametrize("seen", ["", "[1]", "{", '{"scopes": 5, "nothing": 1}'])
def test_a_form_that_does_not_say_what_was_seen_changes_what_it_holds(page: Client, key: ApiKey, seen: str):
    answer = page.post(f"{PLACE}/{key.id}/edit", {**drawn(page, key), "name": "Told", "seen": seen})

    assert answer.status_code == 302 and ApiKey.objects.get().name == "Told"
