"""The fixtures of the tests that sign in by the provider of tests/support/oidc_issuer.py. A test module has them with
`pytest_plugins = ["tests.support.oidc_fixtures"]`.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from sso import jwks
from tests.support.oidc_issuer import Issuer, issuer


@pytest.fixture
def provider(settings: Any) -> Iterator[Issuer]:
    """A provider that this process knows as Google and as Apple."""
    with issuer() as running:
        jwks._key_sets.clear()  # an earlier test's provider may have had this port
        running.configure(settings)
        yield running
