"""Mail leaves with the running server, survives a lost database connection, and one bad mail holds up no other."""

import pytest
from django.db import connection
from django.db.utils import DataError

from accounts.models import OutgoingMail, User
from accounts.outbox import deliver_pending, enqueue, mail, makers
from tests.support.mails import delivered, mail_of, secret_in
from tests.support.race import call

SIGNUP = {"email": "dora@new.test", "password": "a long new password"}


@pytest.mark.django_db(transaction=True)
def test_a_signup_is_verified_by_the_link_that_the_server_mails(server):
    assert call(server, "POST", "/api/v1/public/signup", SIGNUP).status == 201

    sent = mail_of("dora@new.test", "Verify your email address")
    response = call(server, "POST", "/api/v1/auth/verify-email", {"token": secret_in(str(sent.get_payload()))})

    assert (response.status, response.body["email_verified"]) == (200, True)
    assert User.objects.get().email_verified_at is not None
    assert OutgoingMail.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_server_mails_on_after_its_database_connections_broke(server):
    call(server, "POST", "/api/v1/public/signup", SIGNUP)
    mail_of("dora@new.test", "Verify your email address")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )

    for _ in range(4):  # a worker's first request may meet the broken connection
        call(server, "POST", "/api/v1/public/signup", SIGNUP | {"email": "emil@new.test"})

    assert mail_of("emil@new.test", "Verify your email address")


@pytest.mark.parametrize("error", [DataError("no such row"), ValueError("cannot be made")])
def test_a_mail_that_cannot_be_made_waits_and_holds_up_no_other(alice, monkeypatch, error):
    @mail("broken")
    def broken() -> None:
        if isinstance(error, DataError):
            User.objects.raw("SELECT 1 / 0 AS id")[0]
        raise error

    monkeypatch.setitem(makers, "broken", broken)
    enqueue("broken")
    enqueue("password_changed", email="alice@acme.test")

    assert [sent.to for sent in delivered()] == [["alice@acme.test"]]

    waiting = OutgoingMail.objects.get()
    assert (waiting.kind, waiting.attempts) == ("broken", 1)
    OutgoingMail.objects.update(attempts=7, not_before=waiting.created_at)
    assert (deliver_pending(), OutgoingMail.objects.count()) == (0, 0)
