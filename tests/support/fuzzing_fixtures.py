"""The server that schemathesis tries."""

from collections.abc import Iterator

import pytest
from django.conf import settings

from tests.support.launch import Server, launch
from tests.support.oidc_issuer import issuer


@pytest.fixture(scope="module")
def fuzzed_service(database_url: str) -> Iterator[Server]:
    """The service behind a proxy, with Google and Apple set up, so that nothing answers that they are not."""
    with issuer() as provider:
        environment = {"PUBLIC_URL": settings.PUBLIC_URL, "TRUSTED_PROXY_COUNT": "1", **provider.environment()}
        with launch(database_url, extra_env=environment) as running:
            yield running
