"""Honest answers in every shape that identity providers send: they sign in, and say the same."""

import pytest

from sso.models import IdentityProvider
from sso.saml.response import judge
from tests.support.saml_attacks import Scene
from tests.support.saml_idp import parse_request
from tests.support.saml_steps import came_in, post, signed_in_by_saml
from tests.support.saml_variants import VARIANTS, Variant

pytest_plugins = ["tests.support.saml_fixtures", "tests.support.saml_scene"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_an_honest_answer_signs_in(scene: Scene, bob, connection, browser, variant: Variant):
    IdentityProvider.objects.update(**variant.connection)
    connection.refresh_from_db()
    answer = variant.make(scene)

    response = post(browser, answer)

    verdict = judge(answer, connection, parse_request(scene.url).id)
    assert [check for check in verdict.checks if not check.passed] == []
    assert came_in(response), response["Location"]
    assert signed_in_by_saml() == ["bob@acme.test"]
