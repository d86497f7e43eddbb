"""The fixtures of the tests that sign in, in a real browser, at pysaml2's identity provider and Debian's SimpleSAMLphp.

An owner connects each by its own metadata, and it reads ours. Each is at 127.0.0.1, another site than the service
and the app at localhost: cookies cross, or do not, as they would on the internet.

A test module imports them: `dns` and `provider` are also fixtures of plugins, one of which would hide the other.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page

from tests.support.app_page import app_page
from tests.support.browser import browse
from tests.support.cast import Actor
from tests.support.dns_server import DnsServer, dns_server
from tests.support.launch import launch
from tests.support.pysaml2_idp import pysaml2_idp
from tests.support.real_provider_steps import Owner, arrive, leave, read_ours, trade
from tests.support.real_providers import BOB, RealProvider
from tests.support.simplesamlphp import simplesamlphp


def only(start: Any) -> pytest.MarkDecorator:
    """Run a test with one of the providers: the other cannot do what it needs."""
    return pytest.mark.parametrize("running", [start], ids=[start.__name__], indirect=True)


@pytest.fixture(scope="module", name="dns")
def fixture_dns() -> Iterator[DnsServer]:
    with dns_server() as running:
        yield running


@pytest.fixture(scope="module", name="app")
def fixture_app() -> Iterator[str]:
    with app_page() as page:
        yield page


@pytest.fixture(scope="module", name="api")
def fixture_api(database_url: str, app: str, dns: DnsServer) -> Iterator[str]:
    """The service at localhost, which asks our DNS and knows the app."""
    environment = {"CORS_ALLOWED_ORIGINS": app, "DNS_RESOLVER": "{}:{}".format(*dns.address)}
    environment |= {"JWT_ISSUER": settings.PUBLIC_URL}  # so that it takes the token that Alice has from us
    with launch(database_url, workers=1, extra_env=environment) as server:
        yield server.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module", params=[pysaml2_idp, simplesamlphp], ids=["pysaml2", "SimpleSAMLphp"], name="running")
def fixture_running(request: pytest.FixtureRequest) -> Iterator[RealProvider]:
    with request.param() as provider:
        yield provider


@pytest.fixture(name="provider")
def fixture_provider(running: RealProvider) -> RealProvider:
    running.answer()
    return running


@pytest.fixture(name="owner")
def fixture_owner(api: str, alice: Actor, bob: Actor, dns: DnsServer, provider: RealProvider) -> Owner:
    """Alice, after she has connected the provider as anybody would: metadata in, proof by DNS, our metadata out."""
    owner = Owner(api, alice)
    owner.prove(dns)
    owner.import_metadata(provider, covered_domain="acme.test")
    owner.patch(attribute_mapping=provider.attributes)
    read_ours(api, provider)
    return owner


@pytest.fixture(name="sign_in")
def fixture_sign_in(api: str, app: str, provider: RealProvider) -> Callable[..., Any]:
    """Call it to go all the way in a new browser; returns what the page was told, and what trading the code gave."""

    def run(person: Any = BOB) -> tuple[dict[str, str], Any]:
        def steps(page: Page) -> tuple[dict[str, str], Any]:
            leave(page, api, app)
            provider.log_in(page, person)
            back = arrive(page, app)
            return back, trade(page, api, back["code"]) if "code" in back else None

        return browse(steps)

    return run
