"""Bob as a manager of acme. A test module has him with `pytest_plugins = ["tests.support.manager_fixtures"]`."""

import pytest

from accounts.models import Workspace
from tests.support.cast import Actor, enter


@pytest.fixture
def manager(acme: Workspace) -> Actor:
    return enter("bob", "manager", acme)
