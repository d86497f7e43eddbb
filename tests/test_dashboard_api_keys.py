"""Settings / API Keys, without a browser: what the pages show to whom, what they refuse, and what they change."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent, CredentialUsage, User
from accounts.scopes import SCOPE_BITS, WORKSPACE_KEYS_READ, WORKSPACE_KEYS_WRITE
from apikeys.models import ApiKey
from dashboard.session import FRESH_FOR
from dashboard.views.api_keys import get_key
from spatialflow.errors import NotFound
from tests.support.cast import Actor
from tests.support.pages import age_session, fill_in, hidden_fields, signed_in
from tests.support.urls import EXAMPLE_ID

PLACE = "/settings/api-keys"
CURRENT = "/api/v1/account/api-keys/current"
GEOFENCES = "/api/v1/geofences"
BOTH = ["geofences:read", "geofences:write"]
NEW = {"name": "CI", "description": "", "permissions": ["geofences:read"], "expires_in": "never", "expires_at": ""}
ACTS = ["edit", "narrow", "rotate", "regenerate", "disable", "enable", "expiration", "revoke"]


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


@pytest.fixture
def stale(alice: Actor) -> Client:
    """Alice's browser, whose proof is too old."""
    browser = signed_in(alice)
    age_session(browser, FRESH_FOR + 1)
    return browser


def body_of(key: ApiKey, **changes: object) -> dict[str, object]:
    """Return what the form that changes a key sends when nothing but these is changed."""
    return {"name": key.name, "description": key.description, "permissions": key.scopes, **changes}


def use(key: ApiKey, days_ago: int, scopes: list[str]) -> None:
    moment = timezone.now() - timedelta(days=days_ago)
    CredentialUsage.objects.create(
        credential_id=key.id,
        workspace_id=key.workspace_id,
        started_at=moment,
        requests=1234,
        refusals=56,
        last_used_at=moment,
        last_ip="203.0.113.9",
        last_user_agent="<script>agent</script>",
        scopes_used=sum(SCOPE_BITS[scope] for scope in scopes),
    )


def shown_key(answer: object) -> str:
    (shown,) = re.findall(r'id="api-key"[^>]*>(sf_\w+)<', answer.content.decode())  # type: ignore[attr-defined]
    return str(shown)


def test_who_has_none_is_told_what_to_do(page: Client):
    text = page.get(PLACE).content.decode()

    assert "You have no API key yet" in text and "Generate New API Key" in text


def test_the_list_tells_what_there_is_to_know(page: Client, alice: Actor):
    key, raw = alice.make_key(BOTH, name="<script>alert(1)</script>", expires_at=timezone.now() + timedelta(days=9.5))
    use(key, 2, [])
    alice.make_key(name="Old one", expires_at=timezone.now() - timedelta(days=1))
    alice.make_key(name="Stopped", is_active=False)

    text = page.get(PLACE).content.decode()

    for piece in (f"{key.prefix}…", "geofences: read, write", "1,234", "203.0.113.9", "in 9 days", "2 days ago"):
        assert piece in text
    assert ">Expired<" in text and ">Disabled<" in text and ">Active<" in text
    assert "&lt;script&gt;alert(1)" in text and "<script>alert" not in text and raw not in text


def test_owners_see_everybodys_keys_and_others_their_own(page: Client, bob: Actor, mallory: Actor):
    bob.make_key(name="Tablet at the gate")
    mallory.make_key(name="Not yours")

    own, everybodys = (page.get(f"{PLACE}{query}").content.decode() for query in ("", "?of=workspace"))
    of_bob = signed_in(bob).get(f"{PLACE}?of=workspace").content.decode()

    assert "Tablet" not in own and "Tablet" in everybodys and "bob@acme.test" in everybodys
    assert "Not yours" not in everybodys
    assert "Tablet" in of_bob and "All of the workspace" not in of_bob


def test_a_key_is_generated_and_shown_once(page: Client):
    answer = fill_in(page, f"{PLACE}/new", {**NEW, "name": "<b>CI</b>", "description": "Builds"})

    raw, key = shown_key(answer), ApiKey.objects.get()
    assert answer.status_code == 200 and answer["Cache-Control"] == "no-store"
    text = answer.content.decode()
    assert f'curl {settings.PUBLIC_URL}{CURRENT} -H "X-API-KEY: {raw}"' in text and "<b>CI" not in text
    assert (key.name, key.description, key.scopes, key.expires_at) == ("<b>CI</b>", "Builds", ["geofences:read"], None)
    assert APIClient(headers={"X-API-KEY": raw}).get(CURRENT).status_code == 200
    for path in (PLACE, f"{PLACE}/{key.id}", f"{PLACE}/{key.id}/edit"):
        assert raw not in page.get(path).content.decode()
    assert raw not in str(dict(page.session)) and raw not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(("chosen", "days"), [("30", 30), ("90", 90), ("365", 365)])
def test_an_expiry_is_chosen(page: Client, chosen: str, days: int):
    fill_in(page, f"{PLACE}/new", {**NEW, "expires_in": chosen})

    assert abs(ApiKey.objects.get().expires_at - timezone.now() - timedelta(days=days)) < timedelta(minutes=1)


def test_a_date_counts_to_its_end(page: Client):
    date = (timezone.now() + timedelta(days=20)).date()

    fill_in(page, f"{PLACE}/new", {**NEW, "expires_in": "date", "expires_at": date.isoformat()})

    assert ApiKey.objects.get().expires_at.isoformat() == f"{date}T23:59:59+00:00"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"permissions": ["everything:write"]}, "permissions"),
        ({"expires_in": "date"}, "expires_at"),
        ({"expires_in": "date", "expires_at": "2020-01-01"}, "expires_at"),
        ({"expires_in": "date", "expires_at": "soon"}, "expires_at"),
        ({"expires_in": "7"}, "expires_at"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(page: Client, wrong: dict, field: str):
    answer = fill_in(page, f"{PLACE}/new", {**NEW, "description": "Kept <i>", "read_only": "true", **wrong})

    assert answer.status_code == 422 and not ApiKey.objects.exists()
    assert list(answer.context["form"].errors) == [field]
    assert f"{field}-errors" in answer.content.decode()
    assert (
        "Kept &lt;i&gt;" in answer.content.decode()
        and 'name="read_only" value="true" checked' in answer.content.decode()
    )


def test_a_role_gives_no_key_what_it_does_not_hold(carol: Actor):
    page = signed_in(carol)

    form, answer = page.get(f"{PLACE}/new"), fill_in(page, f"{PLACE}/new", {**NEW, "permissions": ["geofences:write"]})

    assert re.search(r'value="geofences:write" disabled', form.content.decode())
    assert answer.status_code == 422 and b"Your role (member) does not hold geofences:write" in answer.content


def test_without_a_verified_address_there_is_no_key(page: Client):
    drawn_before = hidden_fields(page.get(f"{PLACE}/new"))
    User.objects.update(email_verified_at=None)

    answer = page.post(f"{PLACE}/new", drawn_before | NEW)

    assert answer.status_code == 403 and b"Verify your email address" in answer.content
    assert not ApiKey.objects.exists()


def test_a_full_workspace_says_what_to_do(page: Client, settings):
    settings.MAX_API_KEYS_PER_WORKSPACE = 1
    fill_in(page, f"{PLACE}/new", NEW)

    answer = fill_in(page, f"{PLACE}/new", NEW)

    assert answer.status_code == 409 and b"Revoke one that is not used any more" in answer.content
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("act", ["rotate", "regenerate", "enable"])
def test_what_makes_or_wakes_a_secret_wants_a_fresh_proof(stale: Client, alice: Actor, act: str):
    key, raw = alice.make_key(is_active=act != "enable")
    before = ApiKey.objects.values().get()

    for path in (f"{PLACE}/new", f"{PLACE}/{key.id}/{act}"):
        for answer in (stale.get(path), stale.post(path, {**NEW, "grace_period_days": 7})):
            assert answer["Location"].removesuffix("&typed=1") == f"/confirm?next={path.replace('/', '%2F')}"
    assert ApiKey.objects.values().get() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"permissions": [*BOTH, "devices:read"]},
        {"read_only": None},
        {"rate_limit_per_hour": "900"},
        {"rate_limit_per_hour": ""},
    ],
)
def test_widening_wants_a_fresh_proof(stale: Client, page: Client, alice: Actor, changes: dict):
    key, _ = alice.make_key(BOTH, is_read_only=True, hourly_limit=500)
    body = body_of(key, read_only="true", rate_limit_per_hour="500") | changes
    body = {name: value for name, value in body.items() if value is not None}
    before = ApiKey.objects.values().get()

    assert fill_in(stale, f"{PLACE}/{key.id}/edit", body)["Location"].startswith("/confirm?next=")
    assert ApiKey.objects.values().get() == before
    assert fill_in(page, f"{PLACE}/{key.id}/edit", body)["Location"] == f"{PLACE}/{key.id}"
    assert ApiKey.objects.values().get() != before


@pytest.mark.parametrize(
    "changes",
    [{"name": "New name"}, {"permissions": ["geofences:read"]}, {"read_only": "true"}, {"rate_limit_per_hour": "20"}],
)
def test_narrowing_and_naming_do_not(stale: Client, alice: Actor, changes: dict):
    key, _ = alice.make_key(BOTH, hourly_limit=500)
    before = ApiKey.objects.values().get()

    answer = fill_in(stale, f"{PLACE}/{key.id}/edit", body_of(key, rate_limit_per_hour="500") | changes)

    assert answer["Location"] == f"{PLACE}/{key.id}"
    assert ApiKey.objects.values().get() != before


def test_more_time_wants_a_fresh_proof_and_less_does_not(stale: Client, page: Client, alice: Actor):
    key, _ = alice.make_key(expires_at=timezone.now() + timedelta(days=60))
    path = f"{PLACE}/{key.id}/expiration"

    assert stale.post(path, {"expires_in": "never"})["Location"].startswith("/confirm?")
    assert stale.post(path, {"expires_in": "30"})["Location"] == f"{PLACE}/{key.id}"
    assert page.post(path, {"expires_in": "never"})["Location"] == f"{PLACE}/{key.id}"
    assert ApiKey.objects.get().expires_at is None
    assert page.post(path, {"expires_in": "date"}).status_code == 422


def test_a_rotation_gives_a_successor_and_shows_who_still_uses_the_old_key(page: Client, alice: Actor):
    old, old_raw = alice.make_key(name="Import")

    answer = page.post(f"{PLACE}/{old.id}/rotate", {"grace_period_days": "3"})

    raw = shown_key(answer)
    assert APIClient(headers={"X-API-KEY": raw}).get(CURRENT).status_code == 200
    old.refresh_from_db()
    assert abs(old.expires_at - timezone.now() - timedelta(days=3)) < timedelta(minutes=1)
    successor = f"{PLACE}/{old.replaced_by_id}"
    assert b"Nobody has used the old key" in page.get(successor).content
    use(old, 0, [])
    for path in (successor, f"{PLACE}/{old.id}"):
        text = page.get(path).content.decode()
        assert "1,234 requests since the rotation" in text and "203.0.113.9" in text
        assert "<script>agent" not in text
    assert APIClient(headers={"X-API-KEY": old_raw}).get(CURRENT).status_code == 200
    assert page.post(f"{PLACE}/{old.id}/rotate", {"grace_period_days": "3"}).status_code == 409
    assert page.post(f"{PLACE}/{old.id}/rotate", {"grace_period_days": "91"}).status_code == 422
    edited = fill_in(page, f"{PLACE}/{old.id}/edit", {"name": "Old import", "description": ""})
    assert edited.status_code == 302 and ApiKey.objects.get(id=old.id).name == "Old import"


def test_regenerating_ends_the_old_secret_at_once(page: Client, alice: Actor):
    key, old_raw = alice.make_key()

    raw = shown_key(fill_in(page, f"{PLACE}/{key.id}/regenerate"))

    assert [APIClient(headers={"X-API-KEY": each}).get(CURRENT).status_code for each in (old_raw, raw)] == [401, 200]


def test_a_key_is_disabled_enabled_and_revoked(page: Client, alice: Actor):
    key, raw = alice.make_key(name="<i>Gone</i>")
    program = APIClient(headers={"X-API-KEY": raw})
    statuses = []

    for act in ("disable", "enable", "revoke"):
        assert page.get(f"{PLACE}/{key.id}/{act}").status_code == 200
        assert page.post(f"{PLACE}/{key.id}/{act}").status_code == 302
        statuses.append(program.get(CURRENT).status_code)

    assert statuses == [401, 200, 401]
    assert b"<i>Gone" not in page.get(PLACE).content
    assert page.get(f"{PLACE}/{key.id}").status_code == 404


def test_a_smaller_set_is_offered_and_taken(stale: Client, alice: Actor):
    key, _ = alice.make_key([*BOTH, "devices:read"], created_at=timezone.now() - timedelta(days=40))
    use(key, 3, ["geofences:read"])

    text = stale.get(f"{PLACE}/{key.id}").content.decode()
    asked = stale.get(f"{PLACE}/{key.id}/narrow").content.decode()
    sent = re.findall(r'name="permissions" value="([\w:]+)"', asked)
    answer = fill_in(stale, f"{PLACE}/{key.id}/narrow", {"permissions": sent})

    assert "You could remove:" in text and "3 days ago" in text and "not since" in text
    assert answer["Location"] == f"{PLACE}/{key.id}"
    assert ApiKey.objects.get().scopes == ["geofences:read", "devices:read"]
    assert "You could remove:" not in stale.get(f"{PLACE}/{key.id}").content.decode()
    wider = fill_in(stale, f"{PLACE}/{key.id}/narrow", {"permissions": BOTH})
    assert wider["Location"].startswith("/confirm?") and ApiKey.objects.get().scopes == sent


def test_the_charts_say_their_numbers_in_words_too(page: Client, alice: Actor):
    key, _ = alice.make_key(created_at=timezone.now() - timedelta(days=40))
    use(key, 1, [])
    use(key, 10, [])

    text = page.get(f"{PLACE}/{key.id}").content.decode()

    assert "Last 48 hours: 1234 requests and 56 refusals, at most 1290 in one hour" in text
    assert "Last 30 days: 2468 requests and 112 refusals, at most 1290 in one day" in text
    assert text.count('class="bad"') == 3 and text.count('<th scope="row">') == 3
    assert "style=" not in text


def test_a_part_that_refreshes_itself_keeps_nobody_signed_in(page: Client, alice: Actor):
    key, _ = alice.make_key()
    path = f"{PLACE}/{key.id}"
    kept = page.session
    kept["seen_at"] -= 600
    kept.save()
    page.cookies[settings.SESSION_COOKIE_NAME] = kept.session_key

    assert page.get(path, headers={"HX-Request": "true"}).status_code == 200
    assert page.session["seen_at"] == kept["seen_at"]
    page.get(path)
    assert page.session["seen_at"] > kept["seen_at"]

    nobody = Client().get(path, headers={"HX-Request": "true"})
    assert (nobody.status_code, nobody["HX-Refresh"], nobody["Cache-Control"]) == (200, "true", "no-store")


def test_who_may_only_look_at_the_keys_of_others_revokes_none(alice: Actor, bob: Actor):
    key, _ = bob.make_key()
    owner = alice.request().auth
    onlooker = replace(owner, scopes=owner.scopes - {WORKSPACE_KEYS_WRITE})

    assert (
        get_key(owner, str(key.id), WORKSPACE_KEYS_WRITE) == get_key(onlooker, str(key.id), WORKSPACE_KEYS_READ) == key
    )
    with pytest.raises(NotFound):
        get_key(onlooker, str(key.id), WORKSPACE_KEYS_WRITE)


def test_an_owner_looks_at_anothers_key_and_can_only_revoke_it(page: Client, bob: Actor):
    key, raw = bob.make_key(name="Tablet")

    shown = page.get(f"{PLACE}/{key.id}").content.decode()
    statuses = {act: page.post(f"{PLACE}/{key.id}/{act}", {**NEW, "grace_period_days": 7}).status_code for act in ACTS}

    assert "<bdi>Bob</bdi> made this key" in shown and "/rotate" not in shown and "/edit" not in shown
    assert statuses == dict.fromkeys(ACTS, 404) | {"revoke": 302}
    assert APIClient(headers={"X-API-KEY": raw}).get(CURRENT).status_code == 401


@pytest.mark.parametrize("act", ["", *(f"/{act}" for act in ACTS)])
def test_a_strangers_key_is_not_there(alice: Actor, bob: Actor, mallory: Actor, act: str):
    key, _ = alice.make_key(name="Secret name")
    before = ApiKey.objects.values().get()

    for stranger in (mallory, bob):
        page = signed_in(stranger)
        theirs, absent = (page.get(f"{PLACE}/{each}{act}") for each in (key.id, EXAMPLE_ID))
        assert theirs.status_code == absent.status_code == 404 and b"Secret name" not in theirs.content
        if act:
            assert page.post(f"{PLACE}/{key.id}{act}", {**NEW, "grace_period_days": 7}).status_code == 404
    assert ApiKey.objects.values().get() == before


@pytest.mark.parametrize("act", ["new", *(f"{{}}/{act}" for act in ACTS)])
def test_a_form_from_elsewhere_is_refused(alice: Actor, act: str):
    key, _ = alice.make_key()
    page = signed_in(alice, enforce_csrf_checks=True)
    before = list(ApiKey.objects.values())

    answer = page.post(f"{PLACE}/{act.format(key.id)}", {**NEW, "grace_period_days": 7})

    assert answer.status_code == 403 and list(ApiKey.objects.values()) == before


@pytest.mark.django_db(transaction=True)
def test_pages_count_against_the_plan_as_the_api_does(alice: Actor, settings):
    settings.PLAN_LIMITS = {**settings.PLAN_LIMITS, "business": 2}
    page = signed_in(alice)

    answers = [page.get(PLACE) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2]["Retry-After"]) > 0 and b"Wait" in answers[2].content
