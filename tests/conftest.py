"""What every test may use: the cast, an anonymous client, and counters that begin empty."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import Workspace
from tests.support.cast import Actor, enter, make_workspace


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
def empty_counters(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests with real transactions leave the counters behind, which no model knows; empty them."""
    yield
    if "transactional_db" in request.fixturenames:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE spatialflow_counter")
