"""A DNS of the test's own. A test module has it with `pytest_plugins = ["tests.support.dns_fixtures"]`."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.dns_server import DnsServer, dns_server


@pytest.fixture
def dns(settings: Any) -> Iterator[DnsServer]:
    """The name server that the settings name."""
    with dns_server() as running:
        settings.DNS_RESOLVER = running.address
        yield running
