"""An identity provider's metadata that is read again daily: what changes by itself, and what an owner hears of."""

import pytest

from accounts.models import AuditEvent
from sso.models import IdentityProvider
from sso.saml_metadata_import import reread
from tests.support.mails import delivered
from tests.support.saml_idp import certificate, fingerprint
from tests.support.saml_setup import BOTH_KEYS, NEW_KEY, SSO_URL, endpoint, entity, key_descriptor, patch, serving
from tests.support.tls_site import answering

pytest_plugins = ["tests.support.metadata_site"]
pytestmark = pytest.mark.django_db


def pems(provider: IdentityProvider) -> list[str]:
    provider.refresh_from_db()
    return list(provider.certificates)


def test_what_is_the_same_changes_and_tells_nothing(followed, published):
    events, read_at = AuditEvent.objects.count(), followed.metadata_read_at

    reread(followed)

    followed.refresh_from_db()
    assert followed.metadata_read_at > read_at and followed.tested_at is not None
    assert AuditEvent.objects.count() == events and delivered() == []


def test_new_certificates_come_and_former_ones_go(followed, published):
    published.answer = answering(entity(keys=BOTH_KEYS))
    reread(followed)
    assert pems(followed) == [certificate("idp"), certificate("idp-2")] and followed.tested_at is not None
    [mail] = delivered()
    assert mail.to == ["alice@acme.test"] and "metadata" in mail.body and "certificates" in mail.body

    published.answer = answering(entity(keys=NEW_KEY))
    reread(followed)

    assert pems(followed) == [certificate("idp-2")]
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.actor_id) == ("sso.configured", None)
    assert event.changes["certificates"]["to"] == [fingerprint(certificate("idp-2"))]


def test_while_it_is_required_valid_certificates_stay(followed, published, acme):
    acme.requires_sso = True
    acme.save()
    IdentityProvider.objects.update(certificates=[certificate("idp"), certificate("idp-2", days=-1)], metadata_said={})
    published.answer = answering(entity(keys=key_descriptor(certificate("idp-3"))))

    reread(followed)

    assert pems(followed) == [certificate("idp"), certificate("idp-3")]
    assert followed.metadata_problem == ""


def test_while_it_is_required_another_sign_in_address_is_not_taken_over(followed, published, acme):
    acme.requires_sso = True
    acme.save()
    published.answer = answering(
        entity(keys=BOTH_KEYS, services=endpoint("SingleSignOnService", "https://new.test/sso"))
    )

    reread(followed)

    followed.refresh_from_db()
    assert followed.sso_url == SSO_URL and followed.certificates == [certificate("idp")]
    assert "not changed untested" in followed.metadata_problem


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (answering(entity("https://other.test/saml")), "another entity ID"),
        (answering(entity(keys="")), "no certificate"),
        (answering("<html/>"), "No identity provider"),
        (answering("", 500), "500"),
        (answering(entity(services=endpoint("SingleSignOnService", "javascript:1"))), "cannot be used"),
    ],
)
def test_a_reading_that_fails_keeps_the_connection_and_tells_owners_once(followed, published, answer, says):
    published.answer = answer
    before = IdentityProvider.objects.values(
        "entity_id", "sso_url", "certificates", "tested_at", "metadata_read_at"
    ).get()

    reread(followed)
    reread(followed)

    followed.refresh_from_db()
    assert says in followed.metadata_problem
    assert {name: getattr(followed, name) for name in before} == before
    assert ["sign-in" in mail.body.lower() and mail.to for mail in delivered()] == [["alice@acme.test"]]
    published.answer = answering(entity())
    reread(followed)
    followed.refresh_from_db()
    assert followed.metadata_problem == ""


def test_what_an_owner_has_changed_meanwhile_is_left_alone(alice, followed, published):
    stale = serving()
    patch(alice, metadata_url="")
    published.answer = answering(entity(keys=NEW_KEY))

    reread(stale)

    assert pems(followed) == [certificate("idp")]
