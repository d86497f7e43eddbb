"""Two web hosts whose clocks differ by much: what one issues works at the other, and nobody is locked out."""

from collections.abc import Iterator

import pytest

from tests.faults import clocks
from tests.faults.stage import Stage, stage


@pytest.fixture(scope="module")
def found() -> Iterator[Stage]:
    with stage(people=5, sign_ins_of_each=1) as found:
        yield found


def test_a_host_an_hour_behind_serves_as_the_others_do(found: Stage):
    assert clocks.wrong_by(found, -3600).broken == []
