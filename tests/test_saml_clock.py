"""An identity provider's answer ends by the database's clock: also at a host whose own clock is behind, where what the
other hosts have forgotten would otherwise count once more.
"""

from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from sso.models import IdentityProvider, LoginCode, SamlAttempt
from tests.faults.clocks import wrong_clock
from tests.support.launch import launch
from tests.support.oauth import FORM
from tests.support.saml_steps import sign_in

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_an_answer_that_is_over_is_refused_by_a_host_whose_clock_is_behind(database_url, bob, idp, connection):
    IdentityProvider.objects.update(allows_idp_initiated=True)
    sign_in(APIClient(), idp)  # known here, so that a tile at the provider may sign him in
    LoginCode.objects.all().delete()
    ended = {"not_on_or_after": -1200, "confirmation_not_on_or_after": -1200}
    answer = idp.respond(None, issued=-1800, not_before=-1860, edit=as_long_ago, **ended)

    with launch(database_url, workers=1, extra_env={"PUBLIC_URL": settings.PUBLIC_URL, **wrong_clock(-1320)}) as server:
        status = post(server, answer)

    assert (status, LoginCode.objects.count()) == (400, 0)
    assert SamlAttempt.objects.get().failed_check == "not_on_or_after"


def as_long_ago(root: Any) -> None:
    for statement in root.iter("{urn:oasis:names:tc:SAML:2.0:assertion}AuthnStatement"):
        statement.set("AuthnInstant", root.get("IssueInstant"))


def post(server: str, answer: str) -> int:
    parts = urlsplit(server)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request(
        "POST", "/api/v1/auth/saml/acme/acs", urlencode({"SAMLResponse": answer}), {"Content-Type": FORM}
    )
    status = connection.getresponse().status
    connection.close()
    return status
