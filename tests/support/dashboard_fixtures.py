"""The fixtures of the tests that look at the dashboard. A test module has them with
`pytest_plugins = ["tests.support.dashboard_fixtures"]`.
"""

from collections.abc import Iterator

import pytest

from tests.support.dashboard_browser import local
from tests.support.launch import Server, launch


@pytest.fixture(scope="session")
def dashboard_server(database_url: str) -> Iterator[Server]:
    with launch(database_url, workers=1) as running:
        yield running


@pytest.fixture
def site(dashboard_server: Server) -> str:
    """The address of a running dashboard, its own PUBLIC_URL. Use it with transaction=True."""
    return local(dashboard_server)
