"""Mail on a sign-in from a device or place that a person has not signed in from before."""

import pytest
from django.core import mail
from rest_framework.test import APIClient

from accounts.models import OutgoingMail, User
from accounts.outbox import deliver_pending
from tests.support.cast import PASSWORD, Actor

LOGIN = "/api/v1/auth/login"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEWER_FIREFOX = FIREFOX.replace("140.0", "141.0")
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15"


def log_in(email: str = "alice@acme.test", user_agent: str = FIREFOX, ip: str = "198.51.100.7", password=PASSWORD):
    body = {"email": email, "password": password}
    return APIClient().post(LOGIN, body, format="json", HTTP_USER_AGENT=user_agent, REMOTE_ADDR=ip)


def subjects() -> list[str]:
    """Send what is pending and return the subjects of what was sent since the last time."""
    mail.outbox.clear()
    deliver_pending()
    return [message.subject for message in mail.outbox]


NEWS = ["New sign-in to your account"]


@pytest.fixture
def known(alice: Actor) -> Actor:
    """Alice, who has signed in with Firefox at her desk; the news of that are out."""
    log_in()
    subjects()
    return alice


def test_a_new_device_is_told(known):
    assert log_in(user_agent=SAFARI, ip="203.0.113.9").status_code == 200

    assert subjects() == NEWS
    told = mail.outbox[0]
    assert told.to == ["alice@acme.test"]
    assert "Safari on macOS\n203.0.113.9\n" in told.body
    assert "set a new password" in told.body


@pytest.mark.parametrize(
    ("user_agent", "ip", "news"),
    [
        (FIREFOX, "198.51.100.7", []),
        (FIREFOX, "198.51.100.250", []),  # the same /24
        (NEWER_FIREFOX, "198.51.100.7", []),  # an update
        (SAFARI, "198.51.100.7", NEWS),  # another browser at the same place
        (FIREFOX, "198.51.101.7", NEWS),  # the same browser at another place
        (FIREFOX, "2001:db8::1", NEWS),
        ("", "198.51.100.7", NEWS),
        ("x" * 5000 + "'; DROP TABLE accounts_user --", "198.51.100.7", NEWS),
    ],
)
def test_client_and_network_together_make_a_device(known, user_agent, ip, news):
    assert log_in(user_agent=user_agent, ip=ip).status_code == 200

    assert subjects() == news


def test_the_second_time_it_is_known(known):
    log_in(user_agent=SAFARI)
    assert subjects() == NEWS

    log_in(user_agent=SAFARI)

    assert subjects() == []


def test_addresses_of_one_ipv6_site_are_one_place(known):
    log_in(ip="2001:db8:1:1::1")
    subjects()

    log_in(ip="2001:db8:1:2::9")
    assert subjects() == []
    log_in(ip="2001:db8:2:1::1")
    assert subjects() == NEWS


def test_the_very_first_sign_in_is_no_news(alice):
    alice.user.sign_ins.all().delete()

    assert log_in().status_code == 200

    assert OutgoingMail.objects.count() == 0


def test_somebody_elses_devices_do_not_count(known, bob):
    log_in(email="bob@acme.test")

    assert subjects() == NEWS
    assert mail.outbox[0].to == ["bob@acme.test"]


def test_a_refused_login_tells_nobody(known):
    assert log_in(user_agent=SAFARI, password="wrong password").status_code == 401

    assert subjects() == []


def test_the_mail_does_not_repeat_what_a_client_calls_itself(known):
    log_in(user_agent="Your account is locked. Call +1 555 0100 or see http://evil.test/")

    assert subjects() == NEWS
    assert "evil" not in mail.outbox[0].body and "locked" not in mail.outbox[0].body


def test_an_account_that_is_gone_gets_none(known):
    log_in(user_agent=SAFARI)
    User.objects.filter(id=known.user.id).delete()

    assert subjects() == []


def test_it_costs_a_login_no_query(known, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):
        log_in(user_agent=SAFARI)

    assert subjects() == NEWS


def test_what_is_pending_tells_nothing_to_a_reader_of_the_database(known):
    log_in(user_agent=SAFARI, ip="203.0.113.9")

    assert "203.0.113" not in OutgoingMail.objects.get().parameters
