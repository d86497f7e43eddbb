"""Time tells nothing either: for a known address the same statements run, and it takes as long as an unknown one."""

import random
import re
import statistics
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from tests.support.cast import PASSWORD

ROUNDS = 25
numbers = count()

takes_an_address = pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/public/signup", {"password": PASSWORD}),
        ("/api/v1/auth/forgot-password", {}),
        ("/api/v1/auth/resend-verification", {}),
    ],
)


def make_accounts() -> dict[str, Callable[[], str]]:
    """Make an account of each kind and return their addresses, and new ones, all equally long."""
    User.objects.create_user("verified0000@acme.test", PASSWORD, email_verified_at=timezone.now())
    User.objects.create_user("unverified00@acme.test", PASSWORD)
    User.objects.create_user("inactive0000@acme.test", PASSWORD, is_active=False)
    User.objects.create_user("passwordless@acme.test", None)
    known = [user.email for user in User.objects.order_by("email")]
    return {"unknown": lambda: f"nobody{next(numbers):06}@acme.test", **{email: lambda e=email: e for email in known}}


def post(path: str, body: dict[str, Any], email: str) -> None:
    assert APIClient().post(path, {**body, "email": email}, format="json").status_code in (200, 201)


def statements(path: str, body: dict[str, Any], email: str) -> list[str]:
    """Return the request's SQL with its values left out, and without the one word more that undoes a savepoint."""
    with CaptureQueriesContext(connection) as captured:
        post(path, body, email)
    plain = [re.sub(r"'[^']*'|\b[0-9.]+\b|::\w+|\"s\w+\"", "?", query["sql"]) for query in captured]
    return [sql for sql in plain if not sql.startswith("ROLLBACK TO SAVEPOINT")]


@takes_an_address
def test_the_same_statements_run_whoever_has_the_address(db, path, body):
    accounts = make_accounts()

    run = {kind: statements(path, body, address()) for kind, address in accounts.items()}

    assert run["unknown"]
    for kind in accounts:
        assert run[kind] == run["unknown"], kind


def typical_seconds(path: str, body: dict[str, Any], accounts: dict[str, Callable[[], str]]) -> dict[str, float]:
    """Return what a request takes when little else disturbs it: the lower quartile. The kinds take turns in a random
    order, so that a busy machine hits all alike.
    """
    seconds: dict[str, list[float]] = {kind: [] for kind in accounts}
    for _ in range(ROUNDS):
        for kind in random.sample(list(accounts), len(accounts)):
            with connections["counters"].cursor() as cursor:  # deleted rows would slow down the addresses tried before
                cursor.execute("TRUNCATE spatialflow_counter")
            email = accounts[kind]()
            begun = time.perf_counter()
            post(path, body, email)
            seconds[kind].append(time.perf_counter() - begun)
    return {kind: statistics.quantiles(values, n=4)[0] for kind, values in seconds.items()}


@pytest.mark.django_db(transaction=True)
@takes_an_address
def test_known_and_unknown_addresses_take_the_same_time(path, body):
    """A hash left out, or a mail sent at once, shows in every one of five measurements; noise does not."""
    accounts = make_accounts()

    for _ in range(5):
        times = typical_seconds(path, body, accounts)
        if max(times.values()) < min(times.values()) * 1.15 + 0.002:
            return

    raise AssertionError(f"Some addresses take longer: {times}")
