"""Sign-ins by a workspace's identity provider at the same moment, at the running service."""

from collections import Counter
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, Invitation, Membership, SignIn, User
from sso.models import IdentityProvider, SamlAttempt, SpentToken
from tests.support.oauth import FORM
from tests.support.race import at_once
from tests.support.saml_idp import SamlIdp
from tests.support.saml_steps import initiate, sign_in
from tests.test_saml_members import DAVE, invite

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def begun(count: int) -> list[tuple[str, str]]:
    """Return that many round trips, each of a browser of its own: the provider's address, and the browser's cookie."""
    browsers = [APIClient() for _ in range(count)]
    return [(initiate(browser), browser.cookies["spatialflow_sso"].value) for browser in browsers]


def bring(server: str, answer: str, cookie: str = "") -> tuple[int, str, bool]:
    """Post an answer on a connection of its own; return status, place and whether it signed in."""
    parts = urlsplit(server)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        headers = {"Content-Type": FORM, "Cookie": f"spatialflow_sso={cookie}"}
        connection.request("POST", "/api/v1/auth/saml/acme/acs", urlencode({"SAMLResponse": answer}), headers)
        response = connection.getresponse()
        response.read()
        kept = any(name.lower() == "set-cookie" for name, _ in response.getheaders())
        return response.status, response.headers.get("Location", ""), kept
    finally:
        connection.close()


@pytest.mark.parametrize("attempt", range(3))
def test_of_copies_of_one_answer_one_signs_in(server, bob, idp, connection, attempt):
    ((url, cookie),) = begun(1)
    answer = idp.respond(url)

    results = at_once(12, lambda _: bring(server, answer, cookie))

    assert Counter(status for status, _, _ in results) == {302: 1, 400: 11}
    assert SignIn.objects.filter(method="saml").count() == 1


@pytest.mark.parametrize("attempt", range(3))
def test_of_one_assertion_in_many_answers_one_signs_in(server, bob, idp, connection, attempt):
    trips = begun(12)
    answers = [(idp.respond(url, assertion_id="_one"), cookie) for url, cookie in trips]

    results = at_once(12, lambda index: bring(server, *answers[index]))

    assert sum(kept for _, _, kept in results) == 1
    assert SignIn.objects.filter(method="saml").count() == SpentToken.objects.count() == 1
    assert Counter(SamlAttempt.objects.values_list("failed_check", flat=True)) == {"replay": 11}


@pytest.mark.parametrize("attempt", range(2))
def test_of_one_unasked_assertion_one_signs_in(server, bob, idp, connection, attempt):
    IdentityProvider.objects.update(allows_idp_initiated=True)
    sign_in(APIClient(), idp)
    answer = idp.respond(None)

    results = at_once(12, lambda _: bring(server, answer))

    assert Counter(status for status, _, _ in results) == {302: 1, 400: 11}
    assert SignIn.objects.filter(method="saml").count() == 2


@pytest.mark.parametrize("way", ["member", "created", "invited", "joins", "joins by invitation"])
@pytest.mark.parametrize("attempt", range(2))
def test_first_sign_ins_of_one_person_all_come_in(server, bob, acme, idp: SamlIdp, connection, way, attempt):
    email = "bob@acme.test" if way == "member" else DAVE
    IdentityProvider.objects.update(creates_members=way in ("created", "joins"))
    if "joins" in way:
        User.objects.create_user(DAVE, "correct horse battery staple", email_verified_at=bob.user.created_at)
    if "invit" in way:
        invite(acme)
    answers = [(idp.respond(url, name_id=email), cookie) for url, cookie in begun(8)]

    results = at_once(8, lambda index: bring(server, *answers[index]))

    assert results == [(302, "http://localhost:8000/", True)] * 8
    assert User.objects.filter(email=email).count() == UserSocialAuth.objects.count() == 1
    assert Membership.objects.filter(user__email=email).count() == 1
    assert SignIn.objects.filter(user__email=email, method="saml").count() == 8
    assert not Invitation.objects.pending().exists()
    made = AuditEvent.objects.filter(action__in=["account.signed_up", "account.identity_linked"])
    assert made.count() == 1
