"""The fixtures of the tests that sign in by the provider of tests/support/oidc_issuer.py. A test module has them with
`pytest_plugins = ["tests.support.oidc_fixtures"]`.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.oidc_issuer import Issuer, issuer


@pytest.fixture
def provider(settings: Any) -> Iterator[Issuer]:
    """A provider that this process knows as Google and as Apple."""
    with issuer() as running:
        running.configure(settings)
        yield running
