"""The fixtures of the tests that speak through the official SDK. A test module has them with
`pytest_plugins = ["tests.support.sdk_fixtures"]`.
"""

from collections.abc import Iterator

import pytest

from tests.support import sdk as official
from tests.support.cast import Actor
from tests.support.launch import Server


@pytest.fixture(scope="session")
def sdk_driver() -> Iterator[official.Driver]:
    with official.start_driver() as driver:
        yield driver


@pytest.fixture
def sdk(sdk_driver: official.Driver, server: Server) -> official.Sdk:
    """The unmodified SDK, pointed at the running service."""
    return official.Sdk(sdk_driver, server)


@pytest.fixture
def anyone_sdk(sdk: official.Sdk) -> official.Client:
    """A client without a credential."""
    return sdk.client()


@pytest.fixture
def alice_sdk(sdk: official.Sdk, alice: Actor) -> official.Client:
    """Alice's client, signed in."""
    return sdk.client(access_token=alice.pair.access_token)


@pytest.fixture
def key_sdk(sdk: official.Sdk, alice: Actor) -> official.Client:
    """A client with a key of Alice's that reads and writes geofences."""
    return sdk.client(api_key=alice.make_key()[1])
