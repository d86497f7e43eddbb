"""Signing up: what it makes, and that it does not tell whether an address has an account."""

from collections import Counter
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Membership, OutgoingMail, User, Workspace
from tests.support.cast import PASSWORD, Actor
from tests.support.mails import delivered, delivered_to, secret_in
from tests.support.race import at_once, call

SIGNUP = "/api/v1/public/signup"
ANSWER = {"message": "Look into your mail: what to do next is in it.", "success": True}
NEW = {"email": "dora@new.test", "password": "a long new password"}


def sign_up(client: APIClient, **fields: Any) -> Any:
    return client.post(SIGNUP, NEW | fields, format="json")


def test_a_signup_makes_a_person_who_owns_a_workspace(anyone, db):
    response = sign_up(
        anyone,
        email=" Dora@NEW.test",
        name="Dora",
        company="Dora Maps",
        selected_plan="business",
        use_case="fleet",
        utm_source="search",
        utm_term=None,
        website="https://dora.example",
        lane="logistics",
        timezone="Europe/Zurich",
    )

    assert (response.status_code, response.json()) == (201, ANSWER)
    user = User.objects.get()
    assert (user.email, user.name, user.company) == ("dora@new.test", "Dora", "Dora Maps")
    assert (user.selected_plan, user.timezone, user.email_verified_at) == ("business", "Europe/Zurich", None)
    assert user.signup_details == {"use_case": "fleet", "utm_source": "search"}
    assert user.password.startswith("argon2$argon2id") and user.check_password(NEW["password"])
    membership = Membership.objects.select_related("workspace").get(user=user)
    workspace = membership.workspace
    assert (membership.role, user.last_workspace_id) == ("owner", workspace.id)
    assert (workspace.plan, workspace.website) == ("free", "https://dora.example")
    assert (workspace.lane, workspace.timezone) == ("logistics", "Europe/Zurich")


def test_a_signup_signs_in_at_once_and_makes_no_keys_before_it_is_verified(anyone, db):
    sign_up(anyone)

    login = anyone.post("/api/v1/auth/login", NEW, format="json").json()
    bearer = APIClient(headers={"Authorization": f"Bearer {login['access_token']}"})
    key = bearer.post("/api/v1/account/api-keys", {}, format="json")

    assert (login["user"]["email_verified"], login["user"]["role"]) == (False, "owner")
    assert (key.status_code, key.json()["error_code"]) == (403, "email_not_verified")


def test_the_mail_holds_a_link_that_verifies(anyone, db, settings):
    sign_up(anyone)

    sent = delivered_to("dora@new.test")
    response = anyone.post("/api/v1/auth/verify-email", {"token": secret_in(sent.body)}, format="json")

    assert sent.subject == "Verify your email address"
    assert f"{settings.PUBLIC_URL}/verify-email?token=" in sent.body
    assert response.json() == {
        "message": "Your email address is verified.",
        "success": True,
        "email_verified": True,
    }
    assert User.objects.get().email_verified_at is not None


def test_a_known_address_gets_the_same_answer_and_its_owner_a_mail(anyone, alice: Actor):
    before = Counter({model: model.objects.count() for model in (User, Workspace, Membership, AuditEvent)})
    alices = User.objects.get(id=alice.user.id)
    unknown = sign_up(anyone)
    added = {model: model.objects.count() - count for model, count in before.items()}

    known = sign_up(anyone, email="ALICE@acme.test", name="Not Alice")

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert {k: v for k, v in known.headers.items() if k not in ("RateLimit-Reset", "X-Request-ID")} == {
        k: v for k, v in unknown.headers.items() if k not in ("RateLimit-Reset", "X-Request-ID")
    }
    assert {model: model.objects.count() - before[model] for model in before} == added
    assert User.objects.get(id=alice.user.id).password == alices.password
    to_dora, to_alice = delivered()
    assert (to_dora.to, to_dora.subject) == (["dora@new.test"], "Verify your email address")
    assert (to_alice.to, to_alice.subject) == (["alice@acme.test"], "You already have an account")
    assert "/forgot-password" in to_alice.body and "token=" not in to_alice.body


def test_a_suspended_account_gets_no_mail(anyone, alice):
    User.objects.filter(id=alice.user.id).update(is_active=False)

    assert sign_up(anyone, email="alice@acme.test").json() == ANSWER

    assert delivered() == []


def test_a_closed_signup_says_so(anyone, db, settings):
    settings.SIGNUP_IS_OPEN = False

    response = sign_up(anyone)

    assert response.status_code == 403
    assert response.json() == {
        "detail": "Signup is closed here. Ask a workspace owner for an invitation.",
        "error_code": "signup_closed",
    }
    assert (User.objects.count(), OutgoingMail.objects.count()) == (0, 0)
    settings.SIGNUP_IS_OPEN = True
    assert sign_up(anyone).status_code == 201


@pytest.mark.parametrize("password", ["short", "password123", "dora@new.test", "Dora Maps1", "x" * 1025])
def test_a_weak_password_is_refused(anyone, db, password):
    response = sign_up(anyone, name="Dora Maps", password=password)

    assert (response.status_code, list(response.json()["details"])) == (422, ["password"])
    assert User.objects.count() == 0
    assert sign_up(anyone, name="Dora Maps").status_code == 201


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "no address"),
        ("email", ["dora@new.test"]),
        ("email", None),
        ("email", "x" * 300 + "@new.test"),
        ("password", {"$ne": 1}),
        ("password", None),
        ("name", "x" * 256),
        ("name", 7.5e300),
        ("selected_plan", "gold"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
        ("website", "javascript:alert(1)"),
        ("utm_source", ["x"]),
    ],
)
def test_a_bad_field_is_named(anyone, db, field, value):
    response = sign_up(anyone, **{field: value})

    assert (response.status_code, list(response.json()["details"])) == (422, [field])


def test_fields_that_are_not_the_callers_change_nothing(anyone, db):
    response = sign_up(anyone, is_staff=True, is_superuser=True, email_verified_at="2020-01-01", plan="enterprise")

    user = User.objects.get()
    assert response.status_code == 201
    assert (user.is_staff, user.is_superuser, user.email_verified_at) == (False, False, None)
    assert Workspace.objects.get().plan == "free"


def test_the_trail_says_who_signed_up_and_holds_their_address_apart(anyone, db):
    sign_up(anyone)

    event = AuditEvent.objects.get(action="account.signed_up")
    assert (event.actor_email, event.workspace_id) == ("dora@new.test", Workspace.objects.get().id)
    assert "dora" not in f"{event.description}{event.changes}{event.path}"


def test_three_signups_an_hour_for_one_address(anyone, db):
    statuses = [
        sign_up(anyone, email=spelling).status_code for spelling in ["d@x.test", "D@x.test", " d@X.test", "d@x.test"]
    ]

    assert statuses == [201, 201, 201, 429]
    assert sign_up(anyone, email="other@x.test").status_code == 201


def test_weak_passwords_use_up_no_signup_of_an_address(anyone, db):
    assert [sign_up(anyone, password="weak").status_code for _ in range(4)] == [422] * 4

    assert sign_up(anyone).status_code == 201


def test_ten_signups_an_hour_from_one_address_junk_included(anyone, db):
    answers = [sign_up(anyone, email=f"p{n}@x.test", password="short" if n % 2 else PASSWORD) for n in range(10)]

    refused = sign_up(anyone)

    assert {answer.status_code for answer in answers} == {201, 422}
    assert (refused.status_code, refused.json()["limit"]) == (429, 10)
    assert User.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_of_signups_at_once_for_one_address_one_makes_the_account(server):
    passwords = [f"the password of caller {index}" for index in range(3)]

    answers = at_once(3, lambda n: call(server, "POST", SIGNUP, NEW | {"password": passwords[n], "name": "Dora"}))

    assert [(answer.status, answer.body) for answer in answers] == [(201, ANSWER)] * 3
    user = User.objects.get()
    assert sum(user.check_password(password) for password in passwords) == 1
    assert (Workspace.objects.count(), Membership.objects.get().user_id) == (1, user.id)


@pytest.mark.django_db(transaction=True)
def test_signups_at_once_with_one_name_each_get_a_workspace(server):
    answers = at_once(8, lambda n: call(server, "POST", SIGNUP, NEW | {"email": f"p{n}@x.test", "name": "Kim"}))

    assert {answer.status for answer in answers} == {201}
    assert (User.objects.count(), Workspace.objects.values("slug").distinct().count()) == (8, 8)
