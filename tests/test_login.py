"""Email and password: the page's own example, and one answer for every wrong attempt."""

import statistics
import time
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.test import APIClient, APIRequestFactory

from accounts import login
from accounts.models import Membership, SignIn, User
from tests.support.cast import PASSWORD, Actor, make_workspace

LOGIN = "/api/v1/auth/login"


def log_in(anyone: APIClient, email: str = "alice@acme.test", password: str = PASSWORD, path: str = LOGIN):
    return anyone.post(path, {"email": email, "password": password}, format="json")


@pytest.mark.parametrize("path", [LOGIN, LOGIN + "/"])
def test_the_pages_example(anyone, alice: Actor, path):
    response = log_in(anyone, path=path)

    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"access_token", "refresh_token", "expires_in", "token_type", "user"}
    assert (body["expires_in"], body["token_type"]) == (14400, "Bearer")
    assert body["user"] == {
        "id": str(alice.user.id),
        "email": "alice@acme.test",
        "name": "Alice",
        "role": "owner",
        "roles": ["owner"],
        "email_verified": True,
        "selected_plan": "free",
        "company": None,
        "language_preference": "en",
        "created_at": alice.user.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": alice.user.updated_at.isoformat().replace("+00:00", "Z"),
        "is_superuser": False,
        "is_staff": False,
        "workspace_id": str(alice.workspace.id),
        "workspace_slug": "acme",
        "workspace_role": "owner",
    }
    assert response["Cache-Control"] == "no-store"
    sign_in = SignIn.objects.exclude(id=alice.sign_in_id).get(user=alice.user)
    assert (sign_in.method, sign_in.ip, sign_in.revoked_at) == ("password", "127.0.0.1", None)
    assert sign_in.expires_at - sign_in.created_at >= timedelta(days=30) - timedelta(seconds=1)


def test_the_refresh_cookie_is_out_of_reach(anyone, alice):
    cookie = log_in(anyone).cookies["spatialflow_refresh"]

    assert cookie["httponly"] and cookie["secure"]
    assert (cookie["samesite"], cookie["path"]) == ("Strict", "/api/v1/auth/")


def test_the_access_token_opens_the_api(anyone, alice):
    token = log_in(anyone).json()["access_token"]

    me = anyone.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"})

    assert me.status_code == 200
    assert me.json()["email"] == "alice@acme.test"


@pytest.mark.parametrize(
    "spelling",
    ["ALICE@ACME.TEST", "  alice@acme.test\t", "\uff41lice@acme.test", "alice@ACME.test", "alice\uff20acme.test"],
)
def test_spellings_of_one_address_are_one_account(anyone, alice, spelling):
    assert log_in(anyone, email=spelling).status_code == 200


def test_a_look_alike_address_is_another_account(anyone, alice):
    assert log_in(anyone, email="аlice@acme.test").status_code == 401  # the first letter is Cyrillic


def make_unfit_accounts(alice: Actor) -> None:
    inactive = User.objects.create_user("inactive@acme.test", PASSWORD, is_active=False)
    no_password = User.objects.create_user("passwordless@acme.test", None)
    for user in (inactive, no_password):
        Membership.objects.create(user=user, workspace=alice.workspace, role="member")


def test_every_wrong_attempt_gets_the_same_answer(anyone, alice):
    make_unfit_accounts(alice)
    attempts = [
        ("alice@acme.test", "wrong password"),
        ("nobody@acme.test", PASSWORD),
        ("inactive@acme.test", PASSWORD),
        ("passwordless@acme.test", PASSWORD),
        ("not an address", PASSWORD),
        ("alice@acme.test", "x" * 5000),
    ]

    answers = [log_in(anyone, email, password) for email, password in attempts]

    assert {response.status_code for response in answers} == {401}
    assert {response.content for response in answers} == {
        b'{"detail":"Invalid credentials","error_code":"invalid_credentials"}'
    }
    headers = [{k: v for k, v in r.headers.items() if not k.startswith(("RateLimit", "X-Request-ID"))} for r in answers]
    assert all(h == headers[0] for h in headers)
    assert headers[0]["WWW-Authenticate"].startswith("Bearer")
    assert SignIn.objects.exclude(id=alice.sign_in_id).count() == 0


def test_known_and_unknown_addresses_cost_the_same_time(alice):
    make_unfit_accounts(alice)
    request = Request(APIRequestFactory().post(LOGIN))

    def seconds(email: str) -> float:
        begun = time.thread_time()  # of this thread: what else the machine does is none of it
        with pytest.raises(login.InvalidCredentials):
            login.log_in(request, email, "a wrong password")
        return time.thread_time() - begun

    emails = ["alice@acme.test", "nobody@acme.test", "inactive@acme.test", "passwordless@acme.test"]
    times: dict[str, list[float]] = {email: [] for email in emails}
    for _ in range(15):
        for email in emails:
            times[email].append(seconds(email))
    medians = {email: statistics.median(values) for email, values in times.items()}

    assert max(medians.values()) < min(medians.values()) * 1.25, medians


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "alice@acme.test"}, "password"),
        ({"email": ["alice@acme.test"], "password": PASSWORD}, "email"),
        ({"email": "alice@acme.test", "password": {"$ne": ""}}, "password"),
        ({"email": None, "password": PASSWORD}, "email"),
    ],
)
def test_a_body_that_is_no_login_names_the_field(anyone, alice, body, field):
    response = anyone.post(LOGIN, body, format="json")

    assert response.status_code == 422
    assert response.json()["error_code"] == "validation_error"
    assert isinstance(response.json()["detail"], str)
    assert field in response.json()["details"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": " \u00a0", "password": PASSWORD}, "email"),
        ({"email": "a" * 1001, "password": PASSWORD}, "email"),
        ({"email": "alice@acme.test", "password": ""}, "password"),
        ({"email": "alice@acme.test", "password": PASSWORD, "otp": 123456}, "otp"),
    ],
)
def test_what_is_unusual_about_an_address_or_a_password_is_looked_at(anyone, alice, body, field):
    assert set(anyone.post(LOGIN, body, format="json").json()["details"]) == {field}


def test_a_password_is_compared_as_typed(anyone, db):
    user = User.objects.create_user("dave@acme.test", "  spaces and ünïcode 密码 ")
    Membership.objects.create(user=user, workspace=make_workspace("acme"), role="member")

    assert log_in(anyone, "dave@acme.test", "  spaces and ünïcode 密码 ").status_code == 200
    assert log_in(anyone, "dave@acme.test", "spaces and ünïcode 密码").status_code == 401


def test_an_old_hash_is_upgraded_at_login(anyone, alice):
    weak = "argon2" + PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    User.objects.filter(id=alice.user.id).update(password=weak)

    assert log_in(anyone).status_code == 200

    alice.user.refresh_from_db()
    assert alice.user.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert log_in(anyone).status_code == 200


def test_login_enters_the_last_chosen_workspace(anyone, alice):
    second = make_workspace("second")
    Membership.objects.create(user=alice.user, workspace=second, role="member")
    assert log_in(anyone).json()["user"]["workspace_slug"] == "acme"

    User.objects.filter(id=alice.user.id).update(last_workspace=second)

    assert log_in(anyone).json()["user"]["workspace_slug"] == "second"


def test_a_suspended_workspace_lets_nobody_in(anyone, alice):
    type(alice.workspace).objects.filter(id=alice.workspace.id).update(suspended_at=timezone.now())

    response = log_in(anyone)

    assert response.status_code == 403
    assert response.json()["error_code"] == "no_workspace"
