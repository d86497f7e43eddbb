"""Work in the background on a connection that takes no writes any more, as after a failover where the former primary
lives on as a standby: it goes on by a new connection, and nothing is given up.
"""

from collections.abc import Iterator

import pytest
from django.core.mail import EmailMessage
from django.core.management import CommandError, call_command
from django.db import InternalError, close_old_connections, connection

from accounts.models import OutgoingMail, User
from accounts.outbox import deliver_pending, enqueue, mail, makers
from spatialflow.management.repeated import RepeatedCommand
from tests.support.cast import Actor

pytestmark = pytest.mark.django_db(transaction=True)


def take_no_writes() -> None:
    """Let this session be as one of a server that became a standby."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")


@pytest.fixture(autouse=True)
def a_new_connection_afterwards() -> Iterator[None]:
    yield
    connection.close()


class Enough(Exception):
    """Ends a command that would go on for ever."""


class Renaming(RepeatedCommand):
    """Writes each time, the first time to a server that lets it no more."""

    runs = 0

    def act(self) -> Iterator[str]:
        self.runs += 1
        if self.runs == 1:
            take_no_writes()
        yield f"{User.objects.update(name=f'run {self.runs}')} renamed"
        raise Enough


def test_a_repeated_command_goes_on_by_a_new_connection(alice: Actor, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(Enough):
        call_command(Renaming(), every=0)

    assert User.objects.get(id=alice.user.id).name == "run 2"
    assert capsys.readouterr().out == "1 renamed\n"


def test_prune_ends_and_tries_no_chore_further(alice: Actor, caplog: pytest.LogCaptureFixture):
    take_no_writes()

    with pytest.raises(CommandError, match=r"^The database takes no writes \(InternalError\)\.$"):
        call_command("prune")

    assert "failed" not in caplog.text


def test_mail_waits_for_a_server_that_takes_writes(alice: Actor):
    enqueue("password_changed", email=alice.user.email)
    take_no_writes()

    with pytest.raises(InternalError):
        deliver_pending()
    close_old_connections()  # as the threads that deliver do after each round

    assert OutgoingMail.objects.get().attempts == 0
    assert deliver_pending() == 1


def test_one_request_gets_503_and_the_next_goes_to_the_server_that_takes_writes(alice: Actor):
    key = {"name": "CI"}
    take_no_writes()

    refused = alice.client.post("/api/v1/account/api-keys", key, format="json")
    close_old_connections()  # as Django does after each request, where no test's client keeps it from that
    made = alice.client.post("/api/v1/account/api-keys", key, format="json")

    assert (refused.status_code, made.status_code) == (503, 201)


def test_a_mail_in_the_making_is_not_blamed_for_it(alice: Actor, monkeypatch: pytest.MonkeyPatch):
    @mail("written")
    def written() -> EmailMessage | None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")
        User.objects.update(name="x")
        return None

    monkeypatch.setitem(makers, "written", written)
    enqueue("written")

    with pytest.raises(InternalError):
        deliver_pending()

    assert OutgoingMail.objects.get().attempts == 0
