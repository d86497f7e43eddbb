"""A connection that follows metadata: what an owner sets by hand stays, and what cannot be used is said."""

from typing import Any

import pytest

from sso.models import IdentityProvider
from sso.saml_metadata_import import reread
from tests.support.mails import delivered
from tests.support.saml_idp import certificate
from tests.support.saml_setup import (
    CONFIG,
    SLO_URL,
    SSO_URL,
    STAGED,
    configured,
    endpoint,
    entity,
    invalid,
    key_descriptor,
    patch,
    post,
    put,
    refused,
    serving,
)
from tests.support.tls_site import answering

pytest_plugins = ["tests.support.metadata_site"]
pytestmark = pytest.mark.django_db

FIRST, SECOND, THIRD = certificate("idp"), certificate("idp-2"), certificate("idp-3")
WEAK = certificate("weak")


def keys(*pems: str) -> str:
    return "".join(key_descriptor(pem) for pem in pems)


def at(sso_url: str, slo_url: str) -> str:
    return endpoint("SingleLogoutService", slo_url) + endpoint("SingleSignOnService", sso_url)


def read(provider: IdentityProvider, published: Any, xml: str) -> IdentityProvider:
    """Let the provider say this, and read it as every day."""
    published.answer = answering(xml)
    reread(IdentityProvider.objects.get(id=provider.id))
    provider.refresh_from_db()
    return provider


# --- What an owner has set stays


def test_an_emptied_logout_address_stays_empty(alice, followed, published):
    patch(alice, slo_url="")

    assert read(followed, published, entity()).slo_url == ""
    assert read(followed, published, entity(services=at(SSO_URL, "https://new.test/slo"))).slo_url == ""
    assert read(followed, published, entity()).slo_url == ""


def test_what_nobody_has_set_follows(alice, followed, published):
    patch(alice, slo_url="")

    moved = read(followed, published, entity(services=at("https://new.test/sso", SLO_URL)))

    assert (moved.sso_url, moved.slo_url) == ("https://new.test/sso", "")


def test_what_is_set_back_to_what_the_metadata_says_follows_again(alice, followed, published):
    patch(alice, slo_url="")
    read(followed, published, entity())
    patch(alice, slo_url=SLO_URL)

    assert (
        read(followed, published, entity(services=at(SSO_URL, "https://new.test/slo"))).slo_url
        == "https://new.test/slo"
    )


def test_an_added_certificate_stays_beside_those_that_come_and_go(alice, followed, published):
    patch(alice, certificates=[FIRST, THIRD])

    assert read(followed, published, entity(keys=keys(FIRST, SECOND))).certificates == [FIRST, THIRD, SECOND]
    assert read(followed, published, entity(keys=keys(SECOND))).certificates == [THIRD, SECOND]


def test_a_certificate_that_was_taken_away_stays_away(alice, followed, published):
    read(followed, published, entity(keys=keys(FIRST, SECOND)))
    patch(alice, certificates=[SECOND])

    assert read(followed, published, entity(keys=keys(FIRST, SECOND))).certificates == [SECOND]


def test_of_too_many_those_go_first_that_the_provider_does_not_publish(alice, followed, published):
    own = [certificate("idp", days=day) for day in range(50, 59)]
    patch(alice, certificates=[FIRST, *own])

    assert read(followed, published, entity(keys=keys(FIRST, SECOND))).certificates == [FIRST, *own[1:], SECOND]


def test_to_send_the_address_again_takes_all_of_it_over(alice, followed, published):
    patch(alice, slo_url="", certificates=[THIRD])
    published.answer = answering(entity(keys=keys(FIRST)))

    answer = post(alice, "metadata", url=published.url()).json()

    assert (answer["slo_url"], [found["pem"] for found in answer["certificates"]]) == (SLO_URL, [FIRST])
    assert read(followed, published, entity(keys=keys(SECOND))).certificates == [SECOND]


def test_put_that_changes_anything_ends_the_reading(alice, followed, published):
    assert put(alice, is_enabled=False).json()["metadata_url"] == published.url()  # as the metadata says, all of it

    by_hand = put(alice, sso_url="https://new.test/sso").json()

    assert (by_hand["metadata_url"], by_hand["metadata_read_at"]) == ("", None)
    assert serving().sso_url == "https://new.test/sso"


@pytest.mark.parametrize("path", [CONFIG, STAGED])
def test_another_entity_id_ends_the_reading_of_the_one_before(alice, published, path):
    configured(alice)
    post(alice, "metadata", url=published.url(), staged=path == STAGED)

    answer = patch(alice, path, entity_id="https://new.test/saml").json()

    assert (answer["entity_id"], answer["metadata_url"]) == ("https://new.test/saml", "")


def test_the_first_reading_of_another_address_takes_over_everything(alice, followed, published):
    patch(alice, slo_url="", metadata_url=published.url("/other"))

    assert read(followed, published, entity()).slo_url == SLO_URL


# --- Where it is


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "nowhere.invalid"])
@pytest.mark.parametrize("path", [CONFIG, STAGED])
def test_an_address_that_would_not_be_asked_is_refused_at_once(alice, settings, path, host):
    settings.IDENTITY_PROVIDER_NETWORKS = []
    configured(alice)
    configured(alice, STAGED)

    answer = patch(alice, path, metadata_url=f"https://{host}/metadata")

    assert "no public address" in refused(answer, 422, "metadata_not_readable")
    assert list(answer.json()["details"]) == ["metadata_url"]
    assert alice.client.get(path).json()["metadata_url"] == ""
    assert patch(alice, path, metadata_url="https://8.8.8.8/metadata").status_code == 200


def test_an_address_that_stays_is_not_looked_at_again(alice, followed, published, settings):
    settings.IDENTITY_PROVIDER_NETWORKS = []

    assert patch(alice, metadata_url=published.url(), slo_url="").status_code == 200


def test_looking_at_addresses_is_limited(alice):
    configured(alice)
    codes = [patch(alice, metadata_url=f"https://127.0.0.1/{number}").status_code for number in range(21)]

    assert codes == [422] * 20 + [429]


# --- What cannot be used


def test_a_weak_certificate_is_left_out_and_said(alice):
    answer = post(alice, "metadata", xml=entity(keys=keys(WEAK, FIRST)), covered_domain="acme.test").json()

    assert [found["pem"] for found in answer["certificates"]] == [FIRST]
    assert answer["metadata_problem"].startswith("1 of its certificates was left out: ")
    assert "2048 bits" in answer["metadata_problem"]
    [mail] = [mail for mail in delivered() if "cannot be used" in mail.subject]
    assert mail.to == ["alice@acme.test"] and "left out" in mail.body and "Everything else was taken over" in mail.body


def test_where_all_are_weak_it_is_refused(alice):
    assert "2048 bits" in invalid(post(alice, "metadata", xml=entity(keys=keys(WEAK))), "xml")


def test_a_reading_leaves_out_what_is_weak_and_tells_owners_once(alice, followed, published):
    read(followed, published, entity(keys=keys(SECOND, WEAK)))
    read(followed, published, entity(keys=keys(SECOND, WEAK)))

    assert followed.certificates == [SECOND] and "left out" in followed.metadata_problem
    assert len([mail for mail in delivered() if "cannot be used" in mail.subject]) == 1
    assert read(followed, published, entity(keys=keys(SECOND))).metadata_problem == ""
