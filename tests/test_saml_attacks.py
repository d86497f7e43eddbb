"""Hostile answers of identity providers, each over HTTP: refused by the check that is meant to, fast, and nobody is in.

The ids name class and attack: `pytest tests/test_saml_attacks.py -k wrapping` runs one class.
"""

import logging
import resource
import time
from collections import Counter
from pathlib import Path

import pytest
from social_django.models import UserSocialAuth

from accounts.models import SignIn
from sso.models import LoginCode, SamlAttempt, SpentToken
from sso.saml.response import judge, unverified_names
from tests.support.saml_attack_kinds import KINDS
from tests.support.saml_attacks import ATTACKER, ATTACKS, VICTIM, Attack
from tests.support.saml_idp import parse_request
from tests.support.saml_steps import came_in, post, refused_by, sign_in, signed_in_by_saml

pytest_plugins = ["tests.support.saml_fixtures", "tests.support.saml_scene"]
pytestmark = pytest.mark.django_db

SLOWEST = 1.0  # seconds of this process
MOST_MEMORY = 50 * 1024  # kB
BIG = {
    "entity_bomb",
    "entity_long",
    "nested_5000_deep",
    "namespaces_5000",
    "attributes_10000",
    "deflate_bomb",
    "gzip_bomb",
}


def nobody_is_in():
    rows = SignIn.objects.filter(method="saml"), LoginCode.objects, UserSocialAuth.objects, SpentToken.objects
    return not any(row.exists() for row in rows)


def failed_check(response):
    """Return the check by which a browser was sent away, or an answer to no request of ours refused."""
    if response.status_code == 302:
        return refused_by(response)
    body = response.json()
    assert response.status_code in (400, 413) and body["detail"] and not came_in(response)
    return SamlAttempt.objects.get(reference=body["reference"]).failed_check if "reference" in body else "size"


def test_the_attacks_are_as_many_as_they_should_be():
    counted = Counter(attack.family for attack in ATTACKS)
    assert len({str(attack) for attack in ATTACKS}) == len(ATTACKS) >= 400
    assert counted["wrapping"] >= 30 and counted["encryption"] >= 40 and counted["xml"] >= 50
    files = Path(__file__).parent.glob("support/saml_attacks_*.py")
    assert {kind.__name__ for kind in KINDS} == {f"tests.support.{file.stem}" for file in files}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_a_hostile_answer_signs_nobody_in(scene, idp, connection, browser, capfd, caplog, attack: Attack):
    caplog.set_level(logging.DEBUG)
    answer = attack.make(scene)
    asked = parse_request(scene.url).id
    is_for_us = unverified_names(answer).in_response_to == asked

    began = time.process_time()  # what other processes take meanwhile is not of interest
    response = post(browser, answer)
    took = time.process_time() - began

    assert took < SLOWEST and nobody_is_in()
    assert failed_check(response) in ({attack.check} if is_for_us else {attack.check, "request", "size"})
    verdict = judge(answer, connection, asked)
    assert (verdict.failed_check, verdict.assertion) == (attack.check, None)
    assert all(len(check.received) <= 200 and check.received.isprintable() for check in verdict.checks)
    assert capfd.readouterr() == ("", "") and VICTIM not in caplog.text
    assert came_in(sign_in(browser, idp, name_id=ATTACKER))
    assert signed_in_by_saml() == [ATTACKER]


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.name in BIG], ids=str)
def test_a_bomb_takes_no_memory(scene, connection, attack: Attack):
    answer, asked = attack.make(scene), parse_request(scene.url).id
    judge(scene.say(), connection, asked)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert judge(answer, connection, asked).failed_check == attack.check

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY
