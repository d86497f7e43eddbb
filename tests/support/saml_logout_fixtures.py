"""The connection that offers single logout, to be imported: a plugin would replace that of saml_fixtures everywhere."""

from typing import Any

import pytest

from sso.models import IdentityProvider
from tests.support.saml_idp import SamlIdp
from tests.support.saml_setup import SLO_URL


@pytest.fixture(name="connection")
def offering_logout(idp: SamlIdp, acme: Any) -> IdentityProvider:
    return idp.configure(acme, slo_url=SLO_URL)
