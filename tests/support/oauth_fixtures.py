"""The fixtures of the tests that go through Google or Apple without a browser. A test module has them with
`pytest_plugins = ["tests.support.oauth_fixtures"]`.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.apple_provider import StandIn, lying_google, serve


@pytest.fixture
def google(settings: Any) -> Iterator[StandIn]:
    """A Google on loopback that can lie, which the settings name."""
    with serve(lying_google()) as provider:
        use(settings, provider)
        yield provider


@pytest.fixture
def apple(settings: Any) -> Iterator[StandIn]:
    with serve(StandIn()) as provider:
        use(settings, provider)
        yield provider


def use(settings: Any, provider: StandIn) -> None:
    for name, value in provider.settings().items():
        setattr(settings, name, value)
