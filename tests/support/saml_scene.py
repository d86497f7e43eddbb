"""The fixture of the tests that try many answers of an identity provider, beside those of saml_fixtures."""

import pytest
from rest_framework.test import APIClient

from spatialflow.encryption import encrypt
from sso.models import IdentityProvider, SamlKeyPair
from tests.support.cast import Actor
from tests.support.saml_attacks import Scene
from tests.support.saml_idp import SamlIdp, certificate, key_pem
from tests.support.saml_steps import initiate


@pytest.fixture
def scene(alice: Actor, carol: Actor, idp: SamlIdp, connection: IdentityProvider, browser: APIClient) -> Scene:
    """Alice, who is to be the victim, Carol with an account of her own, and a browser on its way to the provider."""
    row = {"private_key": encrypt(key_pem("sp")), "certificate": certificate("sp")}
    SamlKeyPair.objects.create(workspace=connection.workspace, **row)
    return Scene(idp, initiate(browser), certificate("sp"))
