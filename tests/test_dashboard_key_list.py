"""Settings / API Keys: many keys, found by their name or by how they begin, and turned over page by page."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys import keys
from apikeys.models import ApiKey
from tests.support.cast import Actor
from tests.support.pages import signed_in

PLACE = "/settings/api-keys"
PAGE_LENGTH = 50


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def store(actor: Actor, *names: str) -> None:
    """Store keys of these names, the first one the newest."""
    now, raws = timezone.now(), [keys.generate() for _ in names]
    ApiKey.objects.bulk_create(
        ApiKey(
            workspace=actor.workspace,
            created_by=actor.user,
            name=name,
            prefix=keys.shown_prefix(raw),
            digest=keys.digest(raw),
            created_at=now - timedelta(minutes=number),
        )
        for number, (name, raw) in enumerate(zip(names, raws, strict=True))
    )


def listed(answer: HttpResponse) -> list[str]:
    return re.findall(r'<a class="strong"[^>]*><bdi>([^<]*)</bdi>', answer.content.decode())


def next_page(answer: HttpResponse) -> str:
    return re.findall(r'rel="next" href="([^"]+)"', answer.content.decode())[0].replace("&amp;", "&")


def test_keys_come_page_by_page_newest_first(page: Client, alice: Actor, bob: Actor, mallory: Actor):
    names = [f"Key {number:03}" for number in range(PAGE_LENGTH + 1)]
    store(alice, *names)
    store(bob, "Of Bob")
    store(mallory, "Of Mallory")

    with CaptureQueriesContext(connection) as queries:
        first = page.get(PLACE)
    second = page.get(next_page(first))
    beyond = page.get(f"{PLACE}?page=99")
    everybodys = page.get(next_page(page.get(f"{PLACE}?of=workspace")))

    assert listed(first) == names[:PAGE_LENGTH] and listed(second) == listed(beyond) == names[PAGE_LENGTH:]
    assert len(queries) <= 5 and "Page 1 of 2" in first.content.decode() and 'rel="next"' not in second.content.decode()
    assert set(listed(everybodys)) <= {"Of Bob", *names} and len(listed(everybodys)) == 2


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("gate", ["Tablet at the gate"]),
        ("TABLET", ["Tablet at the gate"]),
        ("%", ["100 % sure"]),
        ("_", ["snake_case"]),
        ("nothing like this", []),
        ("", ["Tablet at the gate", "100 % sure", "snake_case"]),
    ],
)
def test_a_name_is_found_by_a_part_of_it(page: Client, alice: Actor, search: str, found: list[str]):
    store(alice, "Tablet at the gate", "100 % sure", "snake_case")

    answer = page.get(PLACE, {"search": search})

    text = answer.content.decode()
    assert listed(answer) == found
    assert ("No key fits" in text) == (not found) and ("Show all keys" in text) == bool(search)


def test_a_key_is_found_by_how_it_begins_and_shown_whole_nowhere(page: Client, alice: Actor):
    store(alice, "Another")
    key, raw = alice.make_key(name="Wanted")

    answers = [page.get(PLACE, {"search": search}) for search in (key.prefix, key.prefix[:7], raw)]

    assert [listed(answer) for answer in answers] == [["Wanted"]] * 3
    assert raw not in answers[-1].content.decode() and f'value="{key.prefix}"' in answers[-1].content.decode()


def test_only_what_one_may_see_is_searched(alice: Actor, bob: Actor, mallory: Actor):
    store(alice, "CI of Alice")
    store(mallory, "CI of Mallory")
    store(bob, *(f"CI {number}" for number in range(PAGE_LENGTH)))

    of_bob = signed_in(bob).get(f"{PLACE}?of=workspace&search=ci+of")
    of_alice = signed_in(alice).get(f"{PLACE}?of=workspace&search=ci")

    assert listed(of_bob) == [] and "of=workspace&search=ci&page=2" in next_page(of_alice)
    assert 'name="of" value="workspace"' in of_alice.content.decode()


@pytest.mark.parametrize("search", ["\x00", "x" * 101])
def test_what_no_name_can_contain_is_refused(page: Client, search: str):
    assert page.get(PLACE, {"search": search}).status_code == 422
