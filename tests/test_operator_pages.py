"""The operator's pages: who gets in, what is never shown, that nothing is changed by hand, and what acts leaves its
event.
"""

from collections.abc import Iterator

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.test import Client

from accounts.models import AuditEvent, Membership, SignIn, User, Workspace, WorkspaceDomain
from dashboard.operator.tables import site
from tests.support.cast import PASSWORD, Actor, enter, make_workspace
from tests.support.pages import Tab, age_session, signed_in
from tests.support.sso_history import connected
from tests.support.totp import enrol

LIST = "/operator/accounts/"
KEYS = "/operator/apikeys/apikey/"


@pytest.fixture(autouse=True)
def admin_is_enabled(settings) -> None:
    settings.ADMIN_ENABLED = True


@pytest.fixture
def operator(alice: Actor, mallory: Actor) -> Iterator[Tab]:
    """Mallory, who runs the service: nothing of acme is hers."""
    enrol(mallory)
    call_command("make_operator", mallory.user.email)
    yield signed_in(mallory)


def act(client: Client, table: str, action: str, *rows: object, **more: str):
    chosen = [str(getattr(row, "pk", row)) for row in rows]
    return client.post(f"{LIST}{table}/", {"action": action, "_selected_action": chosen, "index": "0", **more})


def last_event() -> AuditEvent:
    return AuditEvent.objects.latest("sequence")


# --- Who gets in


def test_nobody_is_sent_to_the_sign_in(db):
    assert Client().get("/operator/").headers["Location"] == "/sign-in?next=%2Foperator%2F"


def test_an_owner_is_told_that_there_is_nothing(alice):
    enrol(alice)
    browser = signed_in(alice)

    assert {browser.get(path).status_code for path in ("/operator/", f"{LIST}user/", "/operator/x/")} == {404}
    assert act(browser, "user", "suspend", alice.user).status_code == 404


def test_an_operator_gets_in_with_a_second_factor_and_not_without(alice, mallory):
    call_command("make_operator", mallory.user.email)
    assert signed_in(mallory).get("/operator/").status_code == 404

    enrol(mallory)

    assert signed_in(mallory).get("/operator/").status_code == 200


@pytest.mark.parametrize("method", ["google", "saml", "apple"])
def test_a_providers_word_is_not_enough(operator, mallory, method):
    SignIn.objects.filter(id=mallory.sign_in_id).update(method=method)

    assert operator.get("/operator/").status_code == 404


def test_it_ends_with_the_next_request(operator, mallory, capsys):
    assert operator.get("/operator/").status_code == 200

    call_command("make_operator", mallory.user.email, "--remove")

    assert operator.get("/operator/").status_code == 404
    events = AuditEvent.objects.filter(target_id=mallory.user.id, action__startswith="account.operator")
    assert [event.action for event in events.order_by("sequence")] == [
        "account.operator_named",
        "account.operator_removed",
    ]


def test_the_pages_are_off_unless_enabled(operator, settings):
    settings.ADMIN_ENABLED = False

    assert {operator.get(path).status_code for path in ("/operator/", f"{LIST}user/")} == {404}


def test_there_is_no_second_way_to_sign_in(operator):
    for path in ("login/", "logout/", "password_change/", "jsi18n/"):
        assert operator.get(f"/operator/{path}").status_code == (200 if path == "jsi18n/" else 404)
        assert path == "jsi18n/" or Client().post(f"/operator/{path}").status_code == 302


# --- What is seen


COLUMNS_NOT_SHOWN = [
    ("accounts/user", "password__startswith=argon2"),
    ("accounts/user", "totp_secret__startswith=a"),
    ("accounts/user", "memberships__user__password__startswith=argon2"),
    ("accounts/user", "email__regex=("),
    ("accounts/user", "email=a%00b"),
    ("accounts/workspace", "plan__exact=a%00b"),
    ("apikeys/apikey", "digest=abc"),
    ("apikeys/apikey", "digest__startswith=a"),
    ("apikeys/apikey", "created_by__password__startswith=argon2"),
    ("accounts/workspacedomain", "token__startswith=a"),
]


@pytest.mark.parametrize(("table", "query"), COLUMNS_NOT_SHOWN)
def test_no_query_asks_a_column_that_is_no_filter(operator, alice, table, query):
    alice.make_key()

    assert operator.get(f"/operator/{table}/?{query}").status_code == 400


@pytest.mark.parametrize(
    ("table", "query"),
    [
        ("accounts/user", "is_active__exact=1"),
        ("accounts/workspace", "requires_sso__exact=0"),
        ("accounts/membership", "role__exact=owner"),
    ],
)
def test_a_filter_chooses_rows(operator, alice, table, query):
    name, _, value = query.partition("=")
    answer = operator.get(f"/operator/{table}/?{query}")

    rows = answer.context["cl"].queryset
    assert answer.status_code == 200
    assert set(rows) == set(rows.model.objects.filter(**{name: value})) != set()


def test_every_table_is_listed_searched_and_read_without_secrets(operator, alice, bob):
    key, raw = alice.make_key()
    connected(alice)
    digests = [bytes(key.digest).hex(), alice.user.password, *WorkspaceDomain.objects.values_list("token", flat=True)]
    for model in site._registry:
        base = f"/operator/{model._meta.app_label}/{model._meta.model_name}/"
        rows = [base, f"{base}?q=a", *(f"{base}{row.pk}/change/" for row in model.objects.all()[:3])]
        for path in rows:
            answer = operator.get(path)
            assert answer.status_code == 200, path
            text = answer.content.decode()
            assert not [secret for secret in (raw, *digests, "argon2", "totp_secret", PASSWORD) if secret in text]
            assert "Traceback" not in text and 'style="' not in text and "<script>" not in text, path
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert raw[:8] in operator.get(KEYS).content.decode()
    assert "https://login.okta.example/acme" in operator.get("/operator/sso/identityprovider/").content.decode()


def test_a_search_finds_a_person(operator, alice, bob):
    text = operator.get(f"{LIST}user/?q=bob@acme").content.decode()

    assert bob.user.email in text and alice.user.email not in text


# --- What is not done here


def test_nothing_is_made_changed_or_deleted_by_hand(operator, alice):
    before = User.objects.filter(id=alice.user.id).values().get()
    for model in site._registry:
        base = f"/operator/{model._meta.app_label}/{model._meta.model_name}/"
        row = model.objects.first()
        assert row is None or operator.get(f"{base}{row.pk}/history/").status_code == 404
        assert operator.post(f"{base}add/", {"email": "x@y.test"}).status_code == 403
        assert row is None or operator.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert row is None or operator.post(f"{base}{row.pk}/change/", {"name": "Changed"}).status_code == 403
        chosen = {"action": "delete_selected", "_selected_action": [str(row and row.pk)], "post": "yes"}
        operator.post(base, chosen)

    assert User.objects.filter(id=alice.user.id).values().get() == before
    assert Membership.objects.filter(user=alice.user).exists()
    assert not LogEntry.objects.exists()


# --- What is done here


def test_suspending_and_reinstating_a_person_acts_at_once_and_is_in_the_trail(operator, alice, mallory):
    answer = act(operator, "user", "suspend", alice.user)

    assert answer.status_code == 302
    assert "Done: alice@acme.test is suspended." in operator.get(f"{LIST}user/").content.decode()
    assert alice.client.get("/api/v1/auth/me").status_code == 401
    event = last_event()
    assert (event.action, event.workspace_id, event.target_id) == (
        "account.suspended",
        alice.workspace.id,
        alice.user.id,
    )
    assert (event.actor_id, event.actor_email, event.user_agent, event.ip_address) == (
        *(mallory.user.id, "operator"),
        *("operator's pages", ""),
    )
    act(operator, "user", "reinstate", alice.user)
    assert (last_event().action, User.objects.get(id=alice.user.id).is_active) == ("account.reinstated", True)
    call_command("verify_audit_log")


def test_nobody_suspends_themselves(operator, mallory):
    act(operator, "user", "suspend", mallory.user)

    assert User.objects.get(id=mallory.user.id).is_active
    assert "You cannot suspend yourself" in operator.get(f"{LIST}user/").content.decode()


def test_a_workspace_is_suspended_reinstated_and_given_a_plan(operator, alice):
    act(operator, "workspace", "suspend", alice.workspace)
    assert Workspace.objects.get(slug="acme").suspended_at is not None
    act(operator, "workspace", "reinstate", alice.workspace)
    assert Workspace.objects.get(slug="acme").suspended_at is None

    act(operator, "workspace", "set_plan", alice.workspace)
    act(operator, "workspace", "set_plan", alice.workspace, plan="gold")
    assert Workspace.objects.get(slug="acme").plan == "business"
    act(operator, "workspace", "set_plan", alice.workspace, plan="enterprise")

    assert Workspace.objects.get(slug="acme").plan == "enterprise"
    actions = AuditEvent.objects.filter(workspace_id=alice.workspace.id).order_by("sequence")
    assert [event.action for event in actions][-3:] == [
        "workspace.suspended",
        "workspace.reinstated",
        "workspace.updated",
    ]


def test_a_second_factor_is_removed(operator, alice):
    enrol(alice)

    act(operator, "user", "remove_second_factor", alice.user)

    assert not User.objects.get(id=alice.user.id).has_second_factor
    assert last_event().action == "account.second_factor_disabled"


def test_ones_own_second_factor_stays_and_whoever_has_none_is_told_of(operator, alice, mallory):
    act(operator, "user", "remove_second_factor", mallory.user)
    assert "You remove your own under Settings, Security." in operator.get(f"{LIST}user/").content.decode()
    act(operator, "user", "remove_second_factor", alice.user)
    assert "Nobody of those has a second factor." in operator.get(f"{LIST}user/").content.decode()

    assert User.objects.get(id=mallory.user.id).has_second_factor


@pytest.mark.parametrize("chosen", ["garbage", "a\x00b", ""])
def test_what_is_no_id_is_refused(operator, alice, chosen):
    for table in ("user", "workspace"):
        assert act(operator, table, "suspend", alice.user.pk, chosen).status_code == 400
    assert User.objects.get(id=alice.user.id).is_active


def test_acting_wants_a_fresh_proof_and_reading_does_not(operator, alice):
    age_session(operator, 16 * 60)

    answer = act(operator, "user", "suspend", alice.user)

    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (307, "/confirm")
    assert User.objects.get(id=alice.user.id).is_active
    assert operator.get(f"{LIST}user/").status_code == 200


def test_a_form_of_another_site_does_nothing(operator, alice):
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = operator.cookies

    answer = act(browser, "user", "suspend", alice.user)

    assert (answer.status_code, User.objects.get(id=alice.user.id).is_active) == (403, True)


def test_lists_cost_few_queries_however_many_rows(operator, django_assert_max_num_queries):
    for number in range(30):
        enter_one(number)

    for path in (f"{LIST}membership/", f"{LIST}signin/", f"{LIST}user/", f"{LIST}workspace/"):
        with django_assert_max_num_queries(9):
            operator.get(path)


def enter_one(number: int) -> None:
    user = User.objects.create_user(f"person{number}@acme.test")
    Membership.objects.create(user=user, workspace=make_workspace(f"place-{number}"), role="owner")


def test_whoever_is_made_operator_is_told_what_they_lack(alice, capsys):
    call_command("make_operator", alice.user.email)

    assert capsys.readouterr().out == (
        "alice@acme.test is an operator. They need a second factor first: Settings, Security.\n"
    )
    assert enter("bob", "member", alice.workspace).user.is_staff is False
