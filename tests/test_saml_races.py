"""Sign-ins by a workspace's identity provider at the same moment, at the running service."""

from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.core.management import call_command
from django.db import connection as database
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, Invitation, Membership, SignIn, User, WorkspaceDomain
from sso.models import IdentityProvider, LoginCode, SamlAttempt, SpentToken
from tests.support.cast import Actor
from tests.support.oauth import CHALLENGED, CLIENT_STATE, FORM, VERIFIER, exchange
from tests.support.race import at_once, call
from tests.support.saml_idp import SamlIdp
from tests.support.saml_members import DAVE, invite
from tests.support.saml_steps import get_code, initiate, sign_in

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def begun(count: int) -> list[tuple[str, str]]:
    """Return that many round trips, each of a browser of its own: the provider's address, and the browser's cookie."""
    browsers = [APIClient() for _ in range(count)]
    return [(initiate(browser, **CHALLENGED), browser.cookies["__Host-sso"].value) for browser in browsers]


def bring(server: str, answer: str, cookie: str = "") -> tuple[int, str, bool]:
    """Post an answer on a connection of its own; return status, place and whether a login code is in it."""
    parts = urlsplit(server)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        headers = {"Content-Type": FORM, "Cookie": f"__Host-sso={cookie}"}
        connection.request("POST", "/api/v1/auth/saml/acme/acs", urlencode({"SAMLResponse": answer}), headers)
        response = connection.getresponse()
        response.read()
        location = response.headers.get("Location", "")
        return response.status, location, "code" in dict(parse_qsl(urlsplit(location).query))
    finally:
        connection.close()


@pytest.mark.parametrize("attempt", range(3))
def test_of_copies_of_one_answer_one_signs_in(server, bob, idp, connection, attempt):
    ((url, cookie),) = begun(1)
    answer = idp.respond(url)

    results = at_once(12, lambda _: bring(server, answer, cookie))

    assert Counter(status for status, _, _ in results) == {302: 1, 400: 11}
    assert LoginCode.objects.count() == 1


@pytest.mark.parametrize("attempt", range(3))
def test_of_one_assertion_in_many_answers_one_signs_in(server, bob, idp, connection, attempt):
    trips = begun(12)
    answers = [(idp.respond(url, assertion_id="_one"), cookie) for url, cookie in trips]

    results = at_once(12, lambda index: bring(server, *answers[index]))

    assert sum(kept for _, _, kept in results) == 1
    assert LoginCode.objects.count() == SpentToken.objects.count() == 1
    assert Counter(SamlAttempt.objects.values_list("failed_check", flat=True)) == {"replay": 11}


@pytest.mark.parametrize("attempt", range(2))
def test_of_one_unasked_assertion_one_signs_in(server, bob, idp, connection, attempt):
    IdentityProvider.objects.update(allows_idp_initiated=True)
    sign_in(APIClient(), idp)
    answer = idp.respond(None)

    results = at_once(12, lambda _: bring(server, answer))

    assert Counter(status for status, _, _ in results) == {302: 1, 400: 11}
    assert LoginCode.objects.count() == 1


@pytest.mark.parametrize("way", ["member", "created", "invited", "unproven", "joins by invitation"])
@pytest.mark.parametrize("attempt", range(2))
def test_first_sign_ins_of_one_person_all_come_in(server, bob, acme, idp: SamlIdp, connection, way, attempt):
    email = "bob@acme.test" if way == "member" else DAVE
    IdentityProvider.objects.update(creates_members=way in ("created", "unproven"))
    if "joins" in way:
        User.objects.create_user(DAVE, "correct horse battery staple", email_verified_at=bob.user.created_at)
    if way == "unproven":
        User.objects.create_user(DAVE, "correct horse battery staple")
    if "invit" in way:
        invite(acme)
    answers = [(idp.respond(url, name_id=email), cookie) for url, cookie in begun(8)]

    results = at_once(8, lambda index: bring(server, *answers[index]))

    assert [(status, has_code) for status, _, has_code in results] == [(302, True)] * 8
    assert User.objects.filter(email=email).count() == UserSocialAuth.objects.count() == 1
    assert Membership.objects.filter(user__email=email).count() == 1
    assert LoginCode.objects.filter(user__email=email).count() == 8
    assert not Invitation.objects.pending().exists()
    made = AuditEvent.objects.filter(action__in=["account.signed_up", "account.identity_linked"])
    assert made.count() == 1


# An end among sign-ins that are under way


CALLERS = 12
CONFIG = "/api/v1/workspaces/saml-config"


def among_sign_ins(server: str, idp: SamlIdp, end: Callable[[], int]) -> list[str]:
    """Bring answers about bob while `end` happens; return what each browser was told besides the place."""
    answers = [(idp.respond(url), cookie) for url, cookie in begun(CALLERS)]

    def act(index: int) -> str:
        if index == CALLERS // 2:
            assert end() in (0, 200, 204)
            return "ended"
        status, location, _ = bring(server, *answers[index])
        assert status in (302, 404), location
        return urlsplit(location).query

    return at_once(CALLERS, act)


def by_owner(server: str, alice: Actor, method: str, path: str, body: Any = None) -> int:
    return call(server, method, path, body, {"Authorization": f"Bearer {alice.pair.access_token}"}).status


def by_operator(*command: str) -> int:
    try:
        call_command(*command)
    finally:
        database.close()
    return 0


@pytest.mark.parametrize("attempt", range(4))
def test_who_comes_while_the_domain_is_removed_is_not_signed_in(server, alice, bob, idp, connection, attempt):
    domain = WorkspaceDomain.objects.get()

    said = among_sign_ins(
        server, idp, lambda: by_owner(server, alice, "DELETE", f"/api/v1/workspaces/domains/{domain.id}")
    )

    assert len(said) == CALLERS
    assert not SignIn.objects.live().filter(method="saml").exists() and not LoginCode.objects.exists()


@pytest.mark.parametrize("attempt", range(4))
def test_a_code_traded_while_the_domain_is_removed_signs_nobody_in(server, alice, bob, idp, connection, attempt):
    domain = WorkspaceDomain.objects.get()
    codes = [get_code(APIClient(), idp) for _ in range(CALLERS)]

    def act(index: int) -> int:
        if index == CALLERS // 2:
            return by_owner(server, alice, "DELETE", f"/api/v1/workspaces/domains/{domain.id}")
        body = {"code": codes[index], "code_verifier": VERIFIER, "state": CLIENT_STATE}
        return call(server, "POST", "/api/v1/auth/sso/exchange", body).status

    assert set(at_once(CALLERS, act)) <= {200, 204, 401}
    assert not SignIn.objects.live().filter(method="saml").exists()


@pytest.mark.parametrize(
    "end",
    [
        lambda server, alice: by_owner(server, alice, "PATCH", CONFIG, {"is_enabled": False}),
        lambda server, alice: by_owner(server, alice, "DELETE", CONFIG),
        lambda *_: by_operator("set_plan", "acme", "team"),
    ],
    ids=["disabled", "deleted", "plan"],
)
def test_nobody_comes_in_behind_the_end_of_the_connection(server, alice, bob, idp, connection, end):
    sign_in(APIClient(), idp)  # so that no other event comes with bob's first sign-in

    said = among_sign_ins(server, idp, lambda: end(server, alice))

    codes = [dict(parse_qsl(query)).get("code", "") for query in said]
    assert {exchange(APIClient(), code).status_code for code in codes if code} <= {401}
    ended = AuditEvent.objects.get(action__in=["sso.configured", "sso.deleted", "workspace.updated"]).sequence
    assert not AuditEvent.objects.filter(action="auth.signed_in", sequence__gt=ended, actor_id=bob.user.id).exists()


def test_a_member_who_is_removed_meanwhile_stays_out_although_invited_anew(server, acme, alice, bob, idp, connection):
    among_sign_ins(server, idp, lambda: by_owner(server, alice, "DELETE", f"/api/v1/workspaces/members/{bob.user.id}"))

    Membership.objects.create(user=bob.user, workspace=acme, role="member")
    assert not SignIn.objects.live().filter(method="saml").exists()
