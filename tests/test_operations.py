"""What only the operator does, from a shell: suspend and reinstate people and workspaces, remove second factors, set
plans.
"""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent, MailedToken, Membership, RecoveryCode, SignIn, User, Workspace
from tests.support.cast import PASSWORD, Actor, bearer, make_workspace
from tests.support.mails import delivered
from tests.support.required_sso import post, sign_in_by
from tests.support.totp import enrol

GEOFENCES = "/api/v1/geofences/"


def log_in(anyone, actor: Actor):
    return anyone.post("/api/v1/auth/login", {"email": actor.user.email, "password": PASSWORD}, format="json")


def refresh(anyone, actor: Actor):
    return anyone.post("/api/v1/auth/refresh", {"refresh_token": actor.pair.refresh_token}, format="json")


def last_event() -> AuditEvent:
    return AuditEvent.objects.latest("sequence")


def test_a_suspended_person_is_out_at_once(alice: Actor, bob: Actor, anyone, capsys):
    key = alice.key_client()

    call_command("suspend_user", " Alice@ACME.test")

    assert capsys.readouterr().out == "alice@acme.test is suspended; 1 sign-in(s) ended.\n"
    assert alice.client.get(GEOFENCES).status_code == 401
    assert refresh(anyone, alice).status_code == 401
    assert log_in(anyone, alice).json() == {"detail": "Invalid credentials", "error_code": "invalid_credentials"}
    assert key.get(GEOFENCES).status_code == 401
    assert bob.client.get(GEOFENCES).status_code == 200
    row = SignIn.objects.get(id=alice.sign_in_id)
    assert (row.revoked_at is not None, row.revoked_reason) == (True, "suspended")


def test_reinstating_revives_no_token(alice, anyone):
    key = alice.key_client()
    call_command("suspend_user", "alice@acme.test")

    call_command("reinstate_user", "alice@acme.test")

    assert alice.client.get(GEOFENCES).status_code == 401
    assert refresh(anyone, alice).status_code == 401
    assert log_in(anyone, alice).status_code == 200
    assert key.get(GEOFENCES).status_code == 200


def test_a_sign_in_that_was_under_way_is_not_revived_either(alice, anyone):
    call_command("suspend_user", "alice@acme.test")
    SignIn.objects.filter(id=alice.sign_in_id).update(revoked_at=None, revoked_reason="")

    call_command("reinstate_user", "alice@acme.test")

    assert alice.client.get(GEOFENCES).status_code == 401


def test_links_mailed_before_are_dead(alice):
    moments = {"expires_at": timezone.now() + timezone.timedelta(hours=1)}
    MailedToken.objects.create(
        user=alice.user, purpose="reset_password", digest=b"x", email=alice.user.email, **moments
    )

    call_command("suspend_user", "alice@acme.test")

    assert not MailedToken.objects.exists()


def test_owners_see_it_in_every_workspace_of_the_person(alice, bob):
    second = make_workspace("second")
    Membership.objects.create(user=bob.user, workspace=second, role="member")

    call_command("suspend_user", "bob@acme.test")
    call_command("reinstate_user", "bob@acme.test")

    events = AuditEvent.objects.filter(action__startswith="account.").order_by("sequence")
    assert [(event.action, event.target_id, event.actor_id) for event in events] == [
        ("account.suspended", bob.user.id, None),
        ("account.suspended", bob.user.id, None),
        ("account.reinstated", bob.user.id, None),
        ("account.reinstated", bob.user.id, None),
    ]
    assert {event.workspace_id for event in events} == {alice.workspace.id, second.id}
    assert events[0].user_agent == "manage.py"
    call_command("verify_audit_log")


def test_a_suspended_workspace_lets_nobody_in(alice, bob, mallory, anyone, capsys):
    key = alice.key_client()

    call_command("suspend_workspace", "acme")

    assert capsys.readouterr().out == "acme is suspended; 2 sign-in(s) ended.\n"
    assert {client.get(GEOFENCES).status_code for client in (alice.client, bob.client, key)} == {401}
    assert refresh(anyone, alice).status_code == 401
    assert log_in(anyone, alice).json()["error_code"] == "no_workspace"
    assert mallory.client.get(GEOFENCES).status_code == 200
    event = last_event()
    assert AuditEvent.objects.filter(action="workspace.suspended", workspace_id=alice.workspace.id).count() == 1
    assert event is not None


def test_a_reinstated_workspace_is_open_to_new_sign_ins_and_its_keys(alice, anyone):
    key = alice.key_client()
    call_command("suspend_workspace", "acme")

    call_command("reinstate_workspace", "acme")

    assert alice.client.get(GEOFENCES).status_code == 401
    assert key.get(GEOFENCES).status_code == 200
    pair = log_in(anyone, alice).json()
    assert bearer(pair["access_token"]).get(GEOFENCES).status_code == 200
    assert Workspace.objects.get(slug="acme").suspended_at is None


def test_a_person_of_a_suspended_workspace_enters_another(alice, anyone):
    Membership.objects.create(user=alice.user, workspace=make_workspace("second"), role="member")

    call_command("suspend_workspace", "acme")

    assert log_in(anyone, alice).json()["user"]["workspace_slug"] == "second"


def test_a_plan_is_set_and_holds_from_the_next_request(alice, capsys):
    assert alice.client.get(GEOFENCES)["RateLimit-Limit"] == "10000"

    call_command("set_plan", "acme", "enterprise")

    assert capsys.readouterr().out == "acme has the plan enterprise.\n"
    assert alice.client.get(GEOFENCES)["RateLimit-Limit"] == "20000"
    event = last_event()
    assert (event.action, event.workspace_id, event.changes) == (
        "workspace.updated",
        alice.workspace.id,
        {"plan": "enterprise"},
    )


def test_a_plan_without_single_sign_on_ends_what_came_by_it_and_nothing_else(alice, bob, anyone, capsys):
    by_provider, by_password = sign_in_by(bob), sign_in_by(alice, "password")

    call_command("set_plan", "acme", "enterprise")
    assert bearer(by_provider.access_token).get(GEOFENCES).status_code == 200
    call_command("set_plan", "acme", "team")

    assert capsys.readouterr().out.endswith("the plan team. 1 sign-in(s) by its identity provider ended.\n")
    assert last_event().changes == {"plan": "team", "sign_ins_ended": 1}
    call_command("set_plan", "acme", "business")  # which brings nothing back
    assert bearer(by_provider.access_token).get(GEOFENCES).status_code == 401
    assert post(anyone, "/api/v1/auth/refresh", refresh_token=by_provider.refresh_token)[0] == 401
    assert bearer(by_password.access_token).get(GEOFENCES).status_code == 200
    assert alice.client.get(GEOFENCES).status_code == bob.client.get(GEOFENCES).status_code == 200


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("suspend_user", "nobody@acme.test"), "Nobody has the address nobody@acme.test."),
        (("reinstate_user", "no address"), "Nobody has the address no address."),
        (("suspend_workspace", "nowhere"), "No workspace has the slug nowhere."),
        (("reinstate_workspace", "nowhere"), "No workspace has the slug nowhere."),
        (("set_plan", "nowhere", "pro"), "No workspace has the slug nowhere."),
    ],
)
def test_what_is_not_there_is_said(db, command, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command(*command)


def test_an_unknown_plan_is_refused(alice):
    with pytest.raises(CommandError, match="invalid choice: 'gold'"):
        call_command("set_plan", "acme", "gold")

    assert Workspace.objects.get(slug="acme").plan == "business"
    assert User.objects.get(id=alice.user.id).is_active


def test_a_second_factor_that_was_lost_is_removed(alice, anyone, capsys):
    enrol(alice)
    delivered()

    call_command("remove_second_factor", " Alice@ACME.test")

    assert capsys.readouterr().out == "alice@acme.test signs in with the password alone; 1 sign-in(s) ended.\n"
    assert alice.client.get(GEOFENCES).status_code == 401
    assert log_in(anyone, alice).status_code == 200
    assert not RecoveryCode.objects.exists()
    event = AuditEvent.objects.filter(action="account.second_factor_disabled").get()
    assert (event.workspace_id, event.actor_id, event.target_id) == (alice.workspace.id, None, alice.user.id)
    assert delivered()[0].subject == "Your second factor was removed"


def test_a_second_factor_that_is_not_there_is_not_removed(alice):
    with pytest.raises(CommandError, match="has no second factor"):
        call_command("remove_second_factor", "alice@acme.test")

    assert alice.client.get(GEOFENCES).status_code == 200


@pytest.mark.parametrize("pause", ["0", "-5", "86401", "1.5", "9" * 5000])
def test_a_pause_that_is_none_is_refused(pause):
    with pytest.raises(CommandError, match="must be a whole number of seconds from 1 to 86400"):
        call_command("prune", f"--every={pause}")


@pytest.mark.parametrize("command", ["prune", "reencrypt", "verify_audit_log"])
def test_a_database_that_was_not_migrated_is_said_in_a_sentence(db, command):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path = pg_catalog")  # as if nothing were there

    with pytest.raises(CommandError, match="lacks tables of this version: run `manage.py migrate`"):
        call_command(command)
