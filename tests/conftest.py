"""What every test may use: the cast, an anonymous client, and counters that begin empty."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connections
from rest_framework.test import APIClient

from accounts.models import OutgoingMail, Workspace
from tests.support.cast import Actor, enter, make_workspace
from tests.support.launch import Server, Valkey, launch, valkey


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every test that has the database have both of its connections."""
    for item in items:
        fixtures: set[str] = set(getattr(item, "fixturenames", ()))
        marker = item.get_closest_marker("django_db")
        if marker or fixtures & {"db", "transactional_db"}:
            transaction = "transactional_db" in fixtures or bool(marker and marker.kwargs.get("transaction"))
            item.add_marker(pytest.mark.django_db(transaction=transaction, databases="__all__"), append=False)


class StandingClock:
    """The time of this process, which stands still unless a test moves it: no window ends in the middle of one."""

    def __init__(self) -> None:
        self.now = time.time()


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> StandingClock:
    clock = StandingClock()
    monkeypatch.setattr(time, "time", lambda: clock.now)
    return clock


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
def empty_counters(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[None]:
    """A test with real transactions leaves behind what it counted; no model knows that table, so nothing else empties
    it.
    """
    yield
    marker = request.node.get_closest_marker("django_db")
    if marker and marker.kwargs["transaction"]:
        with django_db_blocker.unblock(), connections["counters"].cursor() as cursor:
            cursor.execute("DELETE FROM spatialflow_counter")


@pytest.fixture(autouse=True)
def no_mail_in_flight(request: pytest.FixtureRequest) -> Iterator[None]:
    """The running servers' delivery has finished before the tables are emptied: a deadlock otherwise."""
    marker = request.node.get_closest_marker("django_db")
    has_transactions = marker is not None and marker.kwargs["transaction"]
    if has_transactions:
        request.getfixturevalue("transactional_db")
    yield
    if has_transactions:
        OutgoingMail.objects.all().delete()  # waits for the rows that are being sent


@pytest.fixture(scope="session", autouse=True)
def close_counters(django_db_setup: None) -> Iterator[None]:
    """The test database can only be dropped when nobody is connected."""
    yield
    connections["counters"].close()


@pytest.fixture(scope="session")
def database_url(django_db_setup: None) -> str:
    """The address of this process's test database, for servers and clients outside it."""
    place = connections["default"].settings_dict
    credentials = quote(place["USER"]) + (f":{quote(place['PASSWORD'])}" if place["PASSWORD"] else "")
    port = f":{place['PORT']}" if place["PORT"] else ""
    return f"postgresql://{credentials}@{port}/{place['NAME']}?host={quote(place['HOST'], safe='')}"


@pytest.fixture(scope="session")
def server(database_url: str) -> Iterator[Server]:
    """The service as it runs for users, two processes on a free port, counting in Postgres. Use it with
    transaction=True.
    """
    with launch(database_url, extra_env={"PUBLIC_URL": settings.PUBLIC_URL}) as running:
        yield running


@pytest.fixture(scope="session")
def redis_store() -> Iterator[Valkey]:
    with valkey() as running:
        yield running


@pytest.fixture(scope="session")
def redis_server(database_url: str, redis_store: Valkey) -> Iterator[Server]:
    """The same, counting in a real Valkey."""
    with launch(database_url, redis_url=redis_store, extra_env={"PUBLIC_URL": settings.PUBLIC_URL}) as running:
        yield running
