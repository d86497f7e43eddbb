"""The address that a request is counted and recorded by, behind a trusted proxy."""

import pytest

from accounts.models import SignIn
from tests.support.cast import PASSWORD

NAMELESS = "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:5678", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:443", "fe80::1"),
        ("invented, 192.0.2.7:5678", "192.0.2.7"),
        ("nonsense", NAMELESS),
        ("[", NAMELESS),
    ],
)
def test_a_hop_is_read_in_every_spelling_that_proxies_use(settings, anyone, alice, hop, address):
    settings.TRUSTED_PROXY_COUNT = 1

    body = {"email": alice.user.email, "password": PASSWORD}
    answer = anyone.post("/api/v1/auth/login", body, format="json", headers={"X-Forwarded-For": hop})

    assert answer.status_code == 200
    assert SignIn.objects.latest("created_at").ip == address
