"""Two web hosts whose clocks differ by much: what one issues works at the other, and nobody is locked out."""

from collections.abc import Iterator

import pytest

from tests.faults import clocks
from tests.faults.stage import Stage, stage


@pytest.fixture(scope="module")
def found() -> Iterator[Stage]:
    with stage(people=5, sign_ins_of_each=1) as found:
        yield found


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_host_whose_clock_is_wrong_serves_as_the_others_do(found: Stage, ahead: int):
    assert clocks.wrong_by(found, ahead).broken == []
