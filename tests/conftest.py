"""What every test may use: the cast, an anonymous client, and counters that begin empty."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connections
from rest_framework.test import APIClient

from accounts.models import Workspace
from tests.support.cast import Actor, enter, make_workspace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every test that has the database have both of its connections."""
    for item in items:
        fixtures: set[str] = set(getattr(item, "fixturenames", ()))
        marker = item.get_closest_marker("django_db")
        if marker or fixtures & {"db", "transactional_db"}:
            transaction = "transactional_db" in fixtures or bool(marker and marker.kwargs.get("transaction"))
            item.add_marker(pytest.mark.django_db(transaction=transaction, databases="__all__"), append=False)


@pytest.fixture
def anyone() -> APIClient:
    """A client without a credential."""
    return APIClient()


@pytest.fixture
def acme(db: None) -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def alice(acme: Workspace) -> Actor:
    return enter("alice", "owner", acme)


@pytest.fixture
def bob(acme: Workspace) -> Actor:
    return enter("bob", "field_worker", acme)


@pytest.fixture
def carol(acme: Workspace) -> Actor:
    return enter("carol", "member", acme)


@pytest.fixture
def mallory(db: None) -> Actor:
    return enter("mallory", "owner", make_workspace("other"))


@pytest.fixture
def acme_key(alice: Actor) -> Callable[..., APIClient]:
    """Call it with scopes for a client that carries a new key of Alice's in acme."""
    return alice.key_client


@pytest.fixture(autouse=True)
def empty_counters(request: pytest.FixtureRequest) -> None:
    """Counters are written outside the test's transaction, as in production; begin without the last test's."""
    if {"db", "transactional_db"} & set(request.fixturenames):
        request.getfixturevalue("django_db_setup")
        with connections["counters"].cursor() as cursor:
            cursor.execute("DELETE FROM spatialflow_counter; DELETE FROM accounts_credentialusage")


@pytest.fixture(scope="session", autouse=True)
def close_counters(django_db_setup: None) -> Iterator[None]:
    """The test database can only be dropped when nobody is connected."""
    yield
    connections["counters"].close()
