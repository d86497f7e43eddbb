"""What must hold when a part of the service fails, three of the faults played shortly; `make faults` plays them all.

Servers and database are the tests' own: they are stopped and killed.
"""

import signal
from collections.abc import Iterator

import pytest

from tests.faults import postgres, sign_ins, workers
from tests.faults.stage import Stage, stage


@pytest.fixture(scope="module")
def found() -> Iterator[Stage]:
    with stage() as found:
        yield found


def test_a_restart_of_postgres_refuses_only_while_it_lasts_and_loses_nothing(found: Stage):
    assert postgres.restarted(found, signal.SIGINT, 1.5).broken == []


def test_the_token_at_hand_outlives_a_process_killed_in_its_refresh(found: Stage):
    assert workers.killed_in_a_refresh(found).broken == []


def test_of_a_crowd_that_signs_in_everybody_gets_the_right_answer(found: Stage):
    assert sign_ins.crowded(found, 625).broken == []
