"""The fixtures of the tests of required single sign-on. A test module has them with
`pytest_plugins = ["tests.support.required_sso_fixtures"]`.
"""

import pytest

from accounts.models import Membership, User, Workspace
from tests.support.required_sso import person


@pytest.fixture
def guest(acme: Workspace) -> User:
    """A member of acme whose address is of another domain."""
    user = person("guest@elsewhere.test")
    Membership.objects.create(user=user, workspace=acme, role="member")
    return user
