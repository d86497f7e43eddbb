"""What every test may use: the cast, an anonymous client, and counters that begin empty."""

import time
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from django_ratelimit import core as windows
from rest_framework.test import APIClient
from whitenoise.middleware import WhiteNoiseMiddleware

from accounts.models import Workspace
from spatialflow import clock as database_clock
from tests.support.browser import steered
from tests.support.cast import Actor, enter, make_workspace
from tests.support.launch import Server, Valkey, launch, valkey
from tests.support.tables import empty_tables, why_not_at


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every test that has the database have both of its connections."""
    for item in items:
        fixtures: set[str] = set(getattr(item, "fixturenames", ()))
        marker = item.get_closest_marker("django_db")
        if marker or fixtures & {"db", "transactional_db"}:
            transaction = "transactional_db" in fixtures or bool(marker and marker.kwargs.get("transaction"))
            item.add_marker(pytest.mark.django_db(transaction=transaction, databases="__all__"), append=False)


def pytest_sessionstart(session: pytest.Session) -> None:
    is_first = not hasattr(session.config, "workerinput")  # of pytest-xdist's processes
    if is_first and settings.DATABASE_URL and (reason := why_not_at(settings.DATABASE_URL)):
        pytest.exit(reason, returncode=1)


def pytest_sessionfinish() -> None:
    steered.end()


class StandingClock:
    """The time of this process, its host's and the database's as it knows it, which stands still unless a test moves
    it: no window ends in the middle of one.
    """

    def __init__(self) -> None:
        self.now = time.time()

    def begin_window(self, identity: str) -> None:
        """Go to where the next window of a limit a minute begins for this identity. It is kept for a minute, for the
        database's clock goes on: one that ends soon might be forgotten while a long test counts in it.
        """
        self.now += (zlib.crc32(identity.encode()) - int(self.now)) % 60 + 1


@pytest.fixture(autouse=True)
def one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit begins anew in the middle of a test, as this process counts; at a running server one may."""
    moment = time.time()
    monkeypatch.setattr(windows, "time", SimpleNamespace(time=lambda: moment))


@pytest.fixture
def standing_clock(one_window: None, monkeypatch: pytest.MonkeyPatch) -> StandingClock:
    clock = StandingClock()
    monkeypatch.setattr(windows, "time", time)
    monkeypatch.setattr(time, "time", lambda: clock.now)
    monkeypatch.setattr(database_clock, "timestamp", lambda: clock.now)
    return clock


@pytest.fixture
def anyone() -> APIClient:
    """A client without a credential."""
    return APIClient()


@pytest.fixture
def browser() -> APIClient:
    """A client that keeps its cookies."""
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


@pytest.fixture(scope="session", autouse=True)
def nothing_done_over_and_over(django_db_setup: None) -> Iterator[None]:
    """What frameworks do anew for every test takes longer than most tests: the database is emptied by DELETE, and each
    new client of a test serves the static files that the first one has found.
    """
    found: dict[str, Any] = {}
    find = WhiteNoiseMiddleware.add_files_from_finders

    def find_once(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            find(middleware)
            found.update(middleware.files)
        middleware.files = found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty_tables())
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", find_once)
        yield


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
