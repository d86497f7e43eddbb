"""The list of geofences: order, pages, totals, filters, and what it costs."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from tests.support.cast import Actor
from tests.support.fences import URL, names, store_fence, store_row


def test_a_list_is_newest_first(alice: Actor) -> None:
    for age, name in enumerate(["new", "middle", "old"]):
        store_row(alice, name, age=age)

    answer = alice.client.get(URL)

    fences = answer.json()["geofences"]
    assert names(answer) == ["new", "middle", "old"]
    assert answer.json() == {"geofences": fences, "count": 3, "total_count": 3, "results": fences, "next": None}
    assert answer["Content-Type"] == "application/json"


def test_an_empty_list(alice: Actor) -> None:
    answer = alice.client.get(URL)

    assert answer.json() == {"geofences": [], "count": 0, "total_count": 0, "results": [], "next": None}


def test_next_leads_through_every_fence_once(alice: Actor) -> None:
    moment = timezone.now()
    for number in range(7):
        store_row(alice, f"fence {number}", created_at=moment, tags=["a&b"], tag_keys=["a&b"], is_active=number > 0)

    pages, address = [], f"{URL}?limit=3&active_only=false&tags=A%26b"
    while address:
        pages.append(alice.client.get(address).json())
        address = pages[-1]["next"]

    assert [page["count"] for page in pages] == [3, 3, 1]
    assert [page["total_count"] for page in pages] == [7, 7, 7]
    assert pages[0]["next"] == f"{URL}?limit=3&offset=3&active_only=false&tags=A%26b"
    identifiers = [fence["id"] for page in pages for fence in page["results"]]
    assert identifiers == sorted(identifiers)  # all were created at one moment: the id decides
    assert len(set(identifiers)) == 7


@pytest.mark.parametrize(
    ("query", "count", "total"),
    [
        ({"limit": 2}, 2, 3),
        ({"limit": 3}, 3, 3),
        ({"limit": 2, "offset": 2}, 1, 3),
        ({"offset": 3}, 0, 3),
        ({"offset": 2**31 - 1}, 0, 3),
        ({"limit": 10**30}, 3, 3),
    ],
)
def test_count_is_this_page_and_total_count_is_all(alice: Actor, query: dict[str, int], count: int, total: int) -> None:
    for name in ("a", "b", "c"):
        store_row(alice, name)

    answer = alice.client.get(URL, query).json()

    assert (answer["count"], answer["total_count"]) == (count, total)


def test_a_limit_above_500_is_capped(alice: Actor) -> None:
    for number in range(3):
        store_row(alice, f"fence {number}")

    answer = alice.client.get(URL, {"limit": 501, "offset": 1, "active_only": "FALSE"})

    assert answer.status_code == 200
    assert answer.json()["count"] == 2


def test_default_limit_is_50(alice: Actor) -> None:
    for number in range(51):
        store_row(alice, f"fence {number}")

    answer = alice.client.get(URL).json()

    assert (answer["count"], answer["total_count"], answer["next"]) == (50, 51, f"{URL}?limit=50&offset=50")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"plain"}),
        ("include_archived=true", {"plain", "archived"}),
        ("active_only=0", {"plain", "inactive"}),
        ("active_only=false&include_archived=1", {"plain", "inactive", "archived"}),
    ],
)
def test_inactive_and_archived_fences_are_listed_when_asked_for(alice: Actor, query: str, found: set[str]) -> None:
    store_row(alice, "plain")
    store_row(alice, "inactive", is_active=False)
    store_row(alice, "archived", archived=True)

    assert set(names(alice.client.get(f"{URL}?{query}"))) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tags=night", {"both", "one"}),
        ("tags=NIGHT&tags=straße", {"both"}),
        ("tags=+Night+&tags=STRASSE", {"both"}),
        ("tags=absent", set()),
        ("tags=night&tags=absent", set()),
    ],
)
def test_tags_narrow_the_list(alice: Actor, query: str, found: set[str]) -> None:
    store_fence(alice, "both", tags=["Night", "Straße", "night"])
    store_fence(alice, "one", tags=["NIGHT"])
    store_fence(alice, "none")

    assert set(names(alice.client.get(f"{URL}?{query}"))) == found


@pytest.mark.parametrize(
    ("query", "details"),
    [
        ("limit=0", {"limit": ["Must be a whole number, at least 1."]}),
        ("limit=", {"limit": ["Must be a whole number, at least 1."]}),
        ("limit=5.0", {"limit": ["Must be a whole number, at least 1."]}),
        ("limit=%D9%A5", {"limit": ["Must be a whole number, at least 1."]}),
        ("offset=-1", {"offset": ["Must be a whole number, at least 0 and at most 2147483647."]}),
        ("offset=2147483648", {"offset": ["Must be a whole number, at least 0 and at most 2147483647."]}),
        ("offset=" + "9" * 5000, {"offset": ["Must be a whole number, at least 0 and at most 2147483647."]}),
        ("active_only=maybe", {"active_only": ["Must be true or false."]}),
        (
            "include_archived=&limit=x",
            {
                "limit": ["Must be a whole number, at least 1."],
                "include_archived": ["Must be true or false."],
            },
        ),
        ("tags=", {"tags": ["Give at most 50 tags of 1 to 64 characters."]}),
        ("tags=%00", {"tags": ["Give at most 50 tags of 1 to 64 characters."]}),
        ("tags=" + "x" * 65, {"tags": ["Give at most 50 tags of 1 to 64 characters."]}),
    ],
)
def test_a_query_is_refused_with_details(alice: Actor, query: str, details: dict[str, list[str]]) -> None:
    answer = alice.client.get(f"{URL}?{query}")

    assert answer.status_code == 422
    assert answer.json()["details"] == details


@pytest.mark.parametrize(
    "query", ["tags=%ED%A0%80", "tags=%FF", "tags='%20OR%201=1", "tags=%25s", "unknown=1", "limit=5&limit=6"]
)
def test_odd_queries_find_nothing_or_all(alice: Actor, query: str) -> None:
    assert alice.client.get(f"{URL}?{query}").status_code == 200


@pytest.mark.parametrize("fences", [3, 30])
@pytest.mark.parametrize("credential", ["key", "token"])
def test_a_list_costs_the_same_few_statements(
    alice: Actor, acme_key: Callable[..., APIClient], django_assert_num_queries: Any, credential: str, fences: int
) -> None:
    """One says who is asking and counts them, one is the page with its total."""
    for number in range(fences):
        store_row(alice, f"fence {number}", tags=["a"], tag_keys=["a"])
    client = acme_key(["geofences:read"]) if credential == "key" else alice.client
    client.get(URL)

    with django_assert_num_queries(2):
        answer = client.get(URL, {"limit": 2, "tags": "a"})

    assert answer.json()["total_count"] == fences
