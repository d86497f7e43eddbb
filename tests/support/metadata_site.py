"""A site that serves an identity provider's metadata, and a connection that follows it. A test module has them with
`pytest_plugins = ["tests.support.metadata_site"]`.
"""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from sso.models import IdentityProvider
from tests.support.mails import delivered
from tests.support.saml_setup import entity, post, serving
from tests.support.tls_site import Site, answering, tls_site


@pytest.fixture
def published(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site inside a network that the operator allows, with a certificate that this process trusts."""
    settings.IDENTITY_PROVIDER_NETWORKS = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
    with tls_site(tmp_path) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
        running.answer = answering(entity())
        yield running


@pytest.fixture
def followed(alice: Any, published: Site) -> IdentityProvider:
    """The serving connection of acme, whose metadata is read again; it was tested."""
    post(alice, "metadata", url=published.url(), covered_domain="acme.test")
    IdentityProvider.objects.update(tested_at=timezone.now())
    delivered()
    return serving()
