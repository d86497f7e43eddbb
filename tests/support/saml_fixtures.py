"""The fixtures of the tests that go through a workspace's identity provider. A test module has them with
`pytest_plugins = ["tests.support.saml_fixtures"]`.
"""

import pytest

from accounts.models import Workspace
from sso.models import IdentityProvider
from tests.support.saml_idp import SamlIdp


@pytest.fixture
def idp() -> SamlIdp:
    return SamlIdp()


@pytest.fixture
def connection(idp: SamlIdp, acme: Workspace) -> IdentityProvider:
    """The serving connection of acme, whose domain acme.test is proven."""
    return idp.configure(acme)


@pytest.fixture
def creating(connection: IdentityProvider) -> IdentityProvider:
    """The connection, which creates field workers."""
    IdentityProvider.objects.update(creates_members=True, default_role="field_worker")
    return connection
