"""An identity provider's metadata that is fetched from an address: what is asked, and for how long."""

import socket
import time
from typing import Any

import pytest

from sso.models import IdentityProvider
from tests.support.saml_setup import ENTITY, changes_of, entity, invalid, post, refused
from tests.support.tls_site import answering

pytest_plugins = ["tests.support.metadata_site"]
pytestmark = pytest.mark.django_db


def test_metadata_is_fetched_and_its_address_kept(alice, published):
    answer = post(alice, "metadata", url=published.url("/m?tenant=1")).json()

    assert (answer["entity_id"], answer["metadata_url"]) == (ENTITY, published.url("/m?tenant=1"))
    assert answer["metadata_read_at"] is not None and answer["metadata_problem"] == ""
    assert published.requests == [("/m?tenant=1", f"localhost:{published.port}")]
    assert changes_of("sso.configured")["metadata_url"]["to"] == published.url("/m")


def test_a_redirect_is_not_followed(alice, published):
    published.answer = answering("", 302, Location=published.url("/elsewhere"))

    sentence = refused(post(alice, "metadata", url=published.url()), 422, "metadata_not_readable")

    assert "redirect" in sentence and [path for path, _ in published.requests] == ["/metadata"]


def drip(handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (answering("gone", 404), "404"),
        (answering(" " * (1024 * 1024 + 1)), "1 MiB"),
        (lambda handler: handler.wfile.write(b"no http"), "does not answer"),
        (lambda handler: None, "does not answer"),
    ],
)
def test_an_answer_that_is_no_document(alice, published, answer, says):
    published.answer = answer

    response = post(alice, "metadata", url=published.url())

    assert says in refused(response, 422, "metadata_not_readable")
    assert list(response.json()["details"]) == ["url"]
    assert not IdentityProvider.objects.exists()


def test_an_answer_that_drips_is_given_up_after_five_seconds(alice, published):
    published.answer = drip
    began = time.monotonic()

    refused(post(alice, "metadata", url=published.url()), 422, "metadata_not_readable")

    assert 4.5 < time.monotonic() - began < 7


def test_a_handshake_that_never_ends_is_given_up(alice, published):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}/"
        began = time.monotonic()

        refused(post(alice, "metadata", url=url), 422, "metadata_not_readable")

    assert time.monotonic() - began < 7


def test_a_document_that_is_no_metadata_is_refused_by_the_address(alice, published):
    published.answer = answering("<html/>")

    assert "No identity provider" in invalid(post(alice, "metadata", url=published.url()), "url")


def test_a_certificate_must_hold_for_the_name(alice, published, monkeypatch):
    assert "certificate" in refused(
        post(alice, "metadata", url=published.url(host="127.0.0.1")), 422, "metadata_not_readable"
    )
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate" in refused(post(alice, "metadata", url=published.url()), 422, "metadata_not_readable")
    assert published.requests == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]"])
def test_this_machine_is_not_asked(alice, published, settings, host):
    settings.IDENTITY_PROVIDER_NETWORKS = []

    assert "no public address" in refused(
        post(alice, "metadata", url=published.url(host=host)), 422, "metadata_not_readable"
    )
    assert published.requests == []


@pytest.mark.parametrize(
    "host",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"),  # noqa: S104
        *("255.255.255.255", "198.18.0.1", "192.0.2.1", "240.0.0.1"),
        *("[fe80::1]", "[fe80::1%25lo]", "[fc00::1]", "[ff02::1]", "[::]", "[::ffff:10.0.0.1]", "[::10.0.0.1]"),
        *("[64:ff9b::a00:1]", "[64:ff9b:1::1]", "[2002:a00:1::]", "[2001:0:a00:1::]", "[2001:db8::1]"),
        *("[::ffff:8.8.8.8]", "nowhere.invalid"),
    ],
)
def test_no_address_inside_or_in_disguise_is_asked(alice, host):
    began = time.monotonic()

    sentence = refused(post(alice, "metadata", url=f"https://{host}/metadata"), 422, "metadata_not_readable")

    assert "no public address" in sentence
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://localhost/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "//localhost/",
            "https:///metadata",
            "https://",
        ),
        *("https://user:pw@localhost/", "https://[::1/", "https://localhost:x/", "https://b\u00fccher.test/"),
    ],
)
def test_only_plain_https_addresses_are_asked(alice, published, url):
    refused(post(alice, "metadata", url=url), 422, "metadata_not_readable")


def test_fetches_are_limited_by_workspace(alice, mallory, published, settings):
    settings.IDENTITY_PROVIDER_NETWORKS = []
    codes = [post(alice, "metadata", url=published.url()).status_code for _ in range(21)]

    assert codes == [422] * 20 + [429]
    assert post(mallory, "metadata", url=published.url()).status_code == 422
    assert post(alice, "metadata", xml=entity()).status_code == 200
