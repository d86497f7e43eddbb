"""The audit trail is append-only and chained: whatever is done to it behind the service's back shows, and erasing a
person breaks nothing.
"""

import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction

from accounts.audit import GENESIS, Action, Person, erase_person, record
from accounts.models import AuditEvent, AuditHead, User
from accounts.principal import Client
from tests.support.cast import Actor
from tests.support.race import at_once, call

CLIENT = Client("192.0.2.44", "Mozilla/5.0 (a telling client)", "POST", "/api/v1/somewhere")
DANA = Person(uuid.uuid4(), "dana@acme.test")
EVE = Person(uuid.uuid4(), "eve@acme.test")


@pytest.fixture(autouse=True)
def people(db: None) -> None:
    for person in (DANA, EVE):
        User.objects.create_user(str(person.email), id=person.id)


def verify(head: str | None = None) -> list[str]:
    """Return the sentences of `manage.py verify_audit_log`."""
    complaints = StringIO()
    try:
        call_command("verify_audit_log", head=head, stdout=StringIO(), stderr=complaints)
    except CommandError:
        return complaints.getvalue().splitlines()
    assert complaints.getvalue() == ""
    return []


def append(count: int = 5) -> None:
    for number in range(count):
        record(Action.KEY_CREATED, CLIENT, f"Event {number}.", actor=DANA, target=EVE, changes={"number": number})


def test_ids_tell_the_time_and_nothing_else():
    append(20)

    events = AuditEvent.objects.order_by("sequence")
    moments = [event.id.int >> 80 for event in events]
    assert moments == sorted(moments) and {event.id.version for event in events} == {7}
    assert all(abs((event.id.int >> 80) - event.created_at.timestamp() * 1000) <= 50 for event in events)
    assert len({event.id.int & (1 << 62) - 1 for event in events}) == 20


def tamper(sql: str) -> None:
    """Change the trail as somebody can who owns the database."""
    with connection.cursor() as cursor:
        for table in ("accounts_auditevent", "accounts_audithead"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_guard")
        cursor.execute(sql)
        for table in ("accounts_auditevent", "accounts_audithead"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_guard")


COPY = """
INSERT INTO accounts_auditevent
SELECT ({change}).* FROM accounts_auditevent AS event WHERE sequence = {sequence}"""
INSERTED = COPY.format(
    change="jsonb_populate_record(event, jsonb_build_object('sequence', 6, 'id', gen_random_uuid()))", sequence=5
)
SWAPPED = """
UPDATE accounts_auditevent SET sequence = -sequence WHERE sequence IN (2, 3);
UPDATE accounts_auditevent SET sequence = 5 + sequence WHERE sequence < 0"""
ROW = "Row {} (api_key.created) was changed, or the row before it was changed or removed."
PERSONAL = "The personal data of row {} (api_key.created) was changed."
ERASED = "The personal data of row {} (api_key.created) was erased, but no account with it."
HEAD = "The last row is {}, but the head stands at {}: rows were cut off or added."

TAMPERING = {
    "text": ("UPDATE accounts_auditevent SET description = 'Nothing.' WHERE sequence = 3", [ROW.format(3)]),
    "changes": ("""UPDATE accounts_auditevent SET changes = '{"number": 7}' WHERE sequence = 3""", [ROW.format(3)]),
    "time": (
        "UPDATE accounts_auditevent SET created_at = created_at + interval '1 us' WHERE sequence = 1",
        [ROW.format(1)],
    ),
    "actor": ("UPDATE accounts_auditevent SET actor_id = target_id WHERE sequence = 5", [ROW.format(5)]),
    "status": ("UPDATE accounts_auditevent SET status_code = 200 WHERE sequence = 2", [ROW.format(2)]),
    "own hash": (
        "UPDATE accounts_auditevent SET hash = sha256(hash) WHERE sequence = 2",
        [ROW.format(2), ROW.format(3)],
    ),
    "address": ("UPDATE accounts_auditevent SET ip_address = '10.0.0.1' WHERE sequence = 2", [PERSONAL.format(2)]),
    "email": ("UPDATE accounts_auditevent SET target_email = 'bob@acme.test' WHERE sequence = 4", [PERSONAL.format(4)]),
    "half erased": ("UPDATE accounts_auditevent SET actor_salt = NULL WHERE sequence = 4", [PERSONAL.format(4)]),
    "erased of the living": (
        "UPDATE accounts_auditevent SET (actor_salt, actor_email, ip_address, user_agent) = ROW(NULL, NULL, NULL, NULL)"
        " WHERE sequence = 4",
        [ERASED.format(4)],
    ),
    "target erased of the living": (
        "UPDATE accounts_auditevent SET (target_salt, target_email) = ROW(NULL, NULL) WHERE sequence = 2",
        [ERASED.format(2)],
    ),
    "removed": ("DELETE FROM accounts_auditevent WHERE sequence = 3", ["Rows 3 to 3 are missing.", ROW.format(4)]),
    "first removed": (
        "DELETE FROM accounts_auditevent WHERE sequence = 1",
        ["Rows 1 to 1 are missing.", ROW.format(2)],
    ),
    "cut off": ("DELETE FROM accounts_auditevent WHERE sequence > 3", [HEAD.format(3, 5)]),
    "all gone": ("DELETE FROM accounts_auditevent", [HEAD.format(0, 5)]),
    "head gone": ("DELETE FROM accounts_audithead", [HEAD.format(5, 0)]),
    "inserted": (INSERTED, [ROW.format(6), HEAD.format(6, 5)]),
    "reordered": (SWAPPED, [ROW.format(2), ROW.format(3), ROW.format(4)]),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", TAMPERING)
def test_what_is_done_to_the_trail_behind_our_back_is_found(name):
    append()
    assert verify() == []
    sql, sentences = TAMPERING[name]

    tamper(sql)

    assert verify() == sentences


@pytest.mark.django_db
def test_a_tail_that_was_cut_off_with_its_head_shows_against_a_head_noted_before():
    append()
    noted = bytes(AuditHead.objects.get().hash).hex()
    append(2)
    assert verify(noted) == verify(noted.upper()) == []

    tamper("DELETE FROM accounts_auditevent WHERE sequence > 4")
    tamper(
        "UPDATE accounts_audithead SET (sequence, hash) = (SELECT 4, hash FROM accounts_auditevent WHERE sequence = 4)"
    )

    assert verify() == []
    assert verify(noted) == [f"No row has the hash {noted}: the trail was cut off behind it, or rewritten."]


@pytest.mark.django_db
def test_an_empty_trail_holds_and_prints_a_head_that_holds_later():
    assert verify() == []
    append(1)
    assert verify(GENESIS.hex()) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts_auditevent SET description = 'Nothing.'",
        "UPDATE accounts_auditevent SET actor_email = 'bob@acme.test'",
        "UPDATE accounts_auditevent SET actor_salt = NULL",
        "UPDATE accounts_auditevent SET actor_digest = sha256('')",
        "DELETE FROM accounts_auditevent",
    ],
)
def test_the_database_refuses_to_change_or_delete_an_event(sql):
    append(1)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)

    assert verify() == []
    assert AuditEvent.objects.get().description == "Event 0."


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts_audithead SET sequence = sequence - 1",
        "UPDATE accounts_audithead SET sequence = sequence + 2",
        "UPDATE accounts_audithead SET hash = sha256(hash)",
        "DELETE FROM accounts_audithead",
    ],
)
def test_the_database_lets_the_head_only_go_forward_by_one(sql):
    append(2)

    with pytest.raises(DatabaseError, match="goes forward"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)

    append(1)
    assert verify() == []
    assert AuditHead.objects.get().sequence == 3


@pytest.mark.django_db
def test_what_nobody_known_did_is_erased_with_nobody():
    record(Action.SIGN_IN_FAILED, CLIENT, "Password refused.")
    assert verify() == []

    AuditEvent.objects.update(actor_email=None, ip_address=None, user_agent=None, actor_salt=None)

    assert verify() == [ERASED.format(1).replace("api_key.created", "auth.sign_in_failed")]

    AuditEvent.objects.update(target_email=None, target_salt=None)  # as if it had been about somebody who is gone

    assert verify() == [ERASED.format(1).replace("api_key.created", "auth.sign_in_failed")]


@pytest.mark.django_db
def test_of_an_invited_address_alone_nobody_can_tell_whose_it_was():
    """The limit of what verifying finds, which the README says."""
    record(Action.INVITATION_CREATED, CLIENT, "Invited.", actor=EVE, target=Person(email="frank@acme.test"))
    record(Action.ROLE_CHANGED, CLIENT, "Role changed.", actor=EVE)

    AuditEvent.objects.update(target_email=None, target_salt=None)

    assert verify() == [ERASED.format(2).replace("api_key.created", str(Action.ROLE_CHANGED))]


@pytest.mark.django_db
def test_of_somebody_who_has_no_account_any_more_the_id_alone_is_kept():
    User.objects.filter(id=DANA.id).delete()

    record(Action.SIGN_IN_FAILED, CLIENT, "Password refused.", target=DANA)
    record(Action.KEY_CREATED, CLIENT, "Made.", actor=EVE, target=DANA)
    record(Action.SIGNED_IN, CLIENT, "Signed in.", actor=DANA)

    rows = AuditEvent.objects.order_by("sequence")
    assert list(rows.values_list("actor_email", "ip_address", "user_agent", "target_email")) == [
        (None, None, None, None),
        (EVE.email, CLIENT.ip, CLIENT.user_agent, None),
        (None, None, None, None),
    ]
    assert AuditEvent.objects.get(sequence=1).target_id == AuditEvent.objects.get(sequence=3).actor_id == DANA.id
    assert verify() == []


@pytest.mark.django_db
def test_erasing_a_person_leaves_nothing_of_them_and_breaks_nothing():
    changed = DANA._replace(email="dana@old.test")
    record(Action.SIGNED_IN, CLIENT, "Signed in.", actor=changed)
    append(2)
    record(Action.SIGN_IN_FAILED, CLIENT, "Password refused.", target=DANA)
    record(Action.ROLE_CHANGED, Client("203.0.113.9", "Eve's own"), "Role changed.", actor=EVE, target=DANA)
    record(
        Action.INVITATION_CREATED, Client("203.0.113.9", ""), "Invited.", actor=EVE, target=Person(email=changed.email)
    )
    AuditEvent.objects.filter(sequence=2).update(target_email=None, target_salt=None)  # Eve's part of one was erased

    User.objects.all().delete()
    erase_person(DANA.id, DANA.email)

    assert verify() == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT event::text FROM accounts_auditevent AS event ORDER BY sequence")
        rows = [text for (text,) in cursor.fetchall()]
    assert not any(word in row for row in rows for word in ("dana", CLIENT.ip, "telling"))
    assert [("eve@acme.test" in row, "203.0.113.9" in row) for row in rows] == [
        *((False, False), (False, False), (True, False), (False, False)),
        *((True, True), (True, True)),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"map_home": {"latitude": 47.0, "longitude": -0.0, "zoom": 1e16}, "small": 1e-7, "big": 1e308, "count": 2**70},
        {"Ä ö": ["", None, True, 1.10, "\u2028", "🜁"], "b": {"z": 1, "a": [[], {}]}},
        {"id": uuid.uuid4(), "nested": (1, 2)},
    ],
)
def test_changes_verify_in_whatever_form_the_database_keeps_them(changes):
    record(Action.WORKSPACE_UPDATED, CLIENT, "Changed.", changes=changes)

    assert verify() == []


@pytest.mark.django_db
def test_a_path_that_the_database_cannot_store_is_kept_without_what_offends():
    record(Action.SIGNED_IN, Client("192.0.2.1", "", "POST", "/a\0b" + "c" * 400), "x" * 400)

    assert verify() == []
    assert AuditEvent.objects.get().path == ("/ab" + "c" * 400)[:300]


@pytest.mark.django_db(transaction=True)
def test_head_and_event_stand_and_fall_together():
    append(2)
    with pytest.raises(RuntimeError), transaction.atomic():
        append(3)
        raise RuntimeError("undo")

    assert verify() == []
    assert (AuditEvent.objects.count(), AuditHead.objects.get().sequence) == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_eight_writers_at_once_make_one_chain():
    def write(_: int) -> None:
        try:
            append(25)
        finally:
            connections["default"].close()

    at_once(8, write)

    assert verify() == []
    assert AuditEvent.objects.count() == AuditHead.objects.get().sequence == 200


@pytest.mark.django_db(transaction=True)
def test_verifying_while_events_are_appended_finds_no_break():
    def act(index: int) -> list[str]:
        try:
            return verify() + verify() if index == 0 else append(40) or []
        finally:
            connections["default"].close()

    assert at_once(4, act) == [[], [], [], []]


@pytest.mark.django_db(transaction=True)
def test_what_requests_at_once_leave_behind_is_one_chain(server, alice: Actor):
    login = {"email": alice.user.email, "password": "wrong"}

    at_once(8, lambda _: call(server, "POST", "/api/v1/auth/login", login))

    assert verify() == []
    assert AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED).count() == 8
