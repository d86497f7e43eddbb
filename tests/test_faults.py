"""What must hold when a part of the service fails, each played shortly; `make faults` plays them for longer.

Servers and database are the tests' own: they are stopped, frozen and killed.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.faults import counters, postgres, proxied, sign_ins, workers
from tests.faults.stage import Stage, stage


@pytest.fixture(scope="module")
def found() -> Iterator[Stage]:
    with stage() as found:
        yield found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_a_restart_of_postgres_refuses_only_while_it_lasts_and_loses_nothing(found: Stage, how: signal.Signals):
    assert postgres.restarted(found, how, 1.5).broken == []


def test_a_postgres_that_stands_still_is_a_503_within_seconds(found: Stage):
    assert postgres.frozen(found, 1).broken == []


def test_without_valkey_the_limits_count_in_postgres_and_nobody_is_refused(found: Stage):
    assert counters.gone(found, 1).broken == []


def test_a_valkey_that_stands_still_delays_for_a_bounded_time(found: Stage):
    assert counters.hanging(found, 1).broken == []


def test_the_token_at_hand_outlives_a_process_killed_in_its_refresh(found: Stage):
    assert workers.killed_in_a_refresh(found).broken == []


def test_killed_processes_leave_nothing_half_written(found: Stage):
    assert workers.killed_under_load(found, 2).broken == []


def test_of_a_crowd_that_signs_in_everybody_gets_the_right_answer(found: Stage):
    assert sign_ins.crowded(found, 625).broken == []


def test_slow_clients_before_nginx_delay_nobody_else(found: Stage):
    assert proxied.slow_clients(found, 3).broken == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_refuses_writes_and_loses_nothing():
    assert postgres.disk_full(1.5).broken == []
