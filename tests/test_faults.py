"""What must hold when a part of the service fails, two of the faults played shortly; `make faults` plays them all.

Servers and database are the tests' own: they are stopped and killed.
"""

import signal
from collections.abc import Iterator

import pytest

from tests.faults import postgres, workers
from tests.faults.stage import Stage, stage


@pytest.fixture(scope="module")
def found() -> Iterator[Stage]:
    with stage() as found:
        yield found


def test_a_restart_of_postgres_refuses_only_while_it_lasts_and_loses_nothing(found: Stage):
    assert postgres.restarted(found, signal.SIGINT, 1.5).broken == []


def test_the_token_at_hand_outlives_a_process_killed_in_its_refresh(found: Stage):
    assert workers.killed_in_a_refresh(found).broken == []
