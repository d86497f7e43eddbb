"""API keys: made once, shown once, known by their digest, and never more than their maker."""

import hashlib
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Membership, User, Workspace
from apikeys import keys
from apikeys.models import ApiKey
from tests.support.cast import Actor

KEYS = "/api/v1/account/api-keys"
GEOFENCES = "/api/v1/geofences"
REFUSED = {
    "detail": "Invalid credentials: the API key is unknown, expired or revoked.",
    "error_code": "invalid_api_key",
}


def with_key(raw: str) -> APIClient:
    return APIClient(headers={"X-API-KEY": raw})


def test_create_shows_the_key_once_and_stores_its_digest(alice: Actor):
    response = alice.client.post(KEYS, {"name": "CI", "permissions": ["geofences:write"]}, format="json")

    body = response.json()
    raw = body["api_key"]["api_key"]
    key = ApiKey.objects.get()
    assert response.status_code == 201
    assert response["Cache-Control"] == "no-store"
    assert body == {
        "message": "API key created. Copy it now: it is not shown again.",
        "api_key": {
            "id": str(key.id),
            "name": "CI",
            "api_key": raw,
            "created_at": key.created_at.isoformat().replace("+00:00", "Z"),
            "read_only": False,
            "description": None,
            "permissions": ["geofences:write"],
        },
    }
    assert bytes(key.digest) == hashlib.sha256(raw.encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT k::text FROM apikeys_apikey k")
        assert raw not in cursor.fetchone()[0]
    assert with_key(raw).get(GEOFENCES).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [KEYS, KEYS + "/"])
def test_list_shows_what_is_known_of_each_key_and_never_the_key(alice, path):
    key, raw = alice.make_key(["geofences:read"], name="reader")
    with_key(raw).get(GEOFENCES, headers={"User-Agent": "robot/1"})

    (listed,) = alice.client.get(path).json()

    assert listed.pop("last_used_at") is not None
    assert listed == {
        "id": str(key.id),
        "name": "reader",
        "key_prefix": raw[:11],
        "permissions": ["geofences:read"],
        "is_active": True,
        "usage_count": 1,
        "rate_limit_per_hour": 10_000,
        "created_at": key.created_at.isoformat().replace("+00:00", "Z"),
        "read_only": False,
        "description": None,
        "workspace_id": str(alice.workspace.id),
        "expires_at": None,
        "last_used_ip": "127.0.0.1",
        "last_used_client": "robot/1",
        "state": "active",
        "rotated_at": None,
        "replaced_by_id": None,
        "usage_count_since_rotation": None,
    }


def test_without_named_permissions_a_key_reads_geofences_and_with_none_it_does_nothing(alice):
    default = alice.client.post(KEYS, {"permissions": None}, format="json").json()["api_key"]
    nothing = alice.client.post(KEYS, {"permissions": []}, format="json").json()["api_key"]

    assert (default["name"], default["permissions"]) == ("Default", ["geofences:read"])
    assert with_key(default["api_key"]).get(GEOFENCES).status_code == 200
    assert with_key(default["api_key"]).post(GEOFENCES, {}, format="json").status_code == 403
    assert with_key(nothing["api_key"]).get(GEOFENCES).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"permissions": ["geofences:admin"]},
        {"permissions": ["account:write"]},
        {"permissions": ["api_keys:write"]},
        {"permissions": ["*"]},
        {"permissions": ["geofences:read", "geofences:read"]},
        {"permissions": [["geofences:read"]]},
        {"permissions": "geofences:read"},
        {"permissions": ["geofences:read"] * 5000},
        {"name": "x" * 101},
        {"name": ""},
        {"name": "nul \u0000"},
        {"description": "x" * 501},
        {"read_only": "perhaps"},
    ],
)
def test_a_bad_key_request_is_refused_and_makes_nothing(alice, body):
    response = alice.client.post(KEYS, body, format="json")

    assert response.status_code in (400, 422)
    assert isinstance(response.json()["detail"], str)
    assert ApiKey.objects.count() == 0


def test_mass_assignment_changes_nothing(alice, mallory):
    body = {
        "workspace_id": str(mallory.workspace.id),
        "created_by_id": str(mallory.user.id),
        "digest": "00",
        "hourly_limit": 9,
    }

    alice.client.post(KEYS, body, format="json")

    key = ApiKey.objects.get()
    assert (key.workspace_id, key.created_by_id, key.hourly_limit) == (alice.workspace.id, alice.user.id, None)


def test_a_key_stops_with_its_revocation(alice):
    key, raw = alice.make_key()
    assert with_key(raw).get(GEOFENCES).status_code == 200

    response = alice.client.delete(f"{KEYS}/{key.id}")

    assert (response.status_code, response.content) == (204, b"")
    assert with_key(raw).get(GEOFENCES).json() == REFUSED
    assert alice.client.get(KEYS).json() == []
    assert alice.client.delete(f"{KEYS}/{key.id}").status_code == 404


@pytest.mark.parametrize("cause", ["inactive", "expired", "maker deactivated", "maker removed", "suspended"])
def test_a_key_stops_for_every_other_reason_too(alice, cause):
    key, raw = alice.make_key()
    assert with_key(raw).get(GEOFENCES).status_code == 200
    if cause == "inactive":
        ApiKey.objects.update(is_active=False)
    elif cause == "expired":
        ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif cause == "maker deactivated":
        User.objects.update(is_active=False)
    elif cause == "maker removed":
        Membership.objects.filter(user=alice.user).delete()
    else:
        Workspace.objects.update(suspended_at=timezone.now())

    response = with_key(raw).get(GEOFENCES)

    assert (response.status_code, response.json()) == (401, REFUSED)
    assert response["WWW-Authenticate"].startswith("Bearer")


def mangled(raw: str) -> dict[str, str]:
    unknown = keys.generate()
    return {
        "unknown": unknown,
        "flipped": raw[:-1] + ("A" if raw[-1] != "A" else "B"),
        "case": raw[:10] + raw[10:].swapcase(),
        "short": raw[:-1],
        "long": raw + "0",
        "prefix": "xx" + raw[2:],
        "empty": "",
        "bearer": f"Bearer {raw}",
        "two": f"{raw},{raw}",
        "the page's": "your-api-key-here",
        "the SDK tests'": "sf_invalid_key_12345",
        "latin": "sf_" + "\xe9" * 46,
        "digits": "sf_" + "\xb2" * 46,
        "64 kB": "sf_" + "a" * 65536,
        "wildcard": "sf_" + "%" * 46,
    }


def test_every_bad_key_gets_the_same_answer(alice):
    _, raw = alice.make_key()
    for name, bad in mangled(raw).items():
        response = with_key(bad).get(GEOFENCES)

        assert (name, response.status_code, response.json()) == (name, 401, REFUSED)


def test_what_cannot_be_a_key_is_refused_without_a_query(alice, django_assert_num_queries):
    _, raw = alice.make_key()
    with django_assert_num_queries(0):
        assert with_key(raw[:-1] + ("A" if raw[-1] != "A" else "B")).get(GEOFENCES).status_code == 401


def test_a_key_elsewhere_is_no_credential(anyone, alice):
    _, raw = alice.make_key()
    anyone.cookies["X-API-KEY"] = raw

    assert anyone.get(f"{GEOFENCES}?api_key={raw}&X-API-KEY={raw}").status_code == 401
    assert anyone.get(GEOFENCES, headers={"Authorization": f"Bearer {raw}"}).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [("get", KEYS), ("post", KEYS), ("get", "/api/v1/auth/me"), ("post", "/api/v1/auth/logout")]
)
def test_keys_never_manage_keys_nor_the_account(alice, method, path):
    client = alice.key_client(["geofences:read", "geofences:write"])

    response = getattr(client, method)(path)

    assert response.status_code == 403
    assert "no API key carries it" in response.json()["detail"]


def test_a_key_is_bounded_by_its_makers_role_now(alice):
    client = alice.key_client(["geofences:write"])
    Membership.objects.filter(user=alice.user).update(role="member")

    assert client.get(GEOFENCES).status_code == 200  # writing implies reading
    response = client.post(GEOFENCES, {}, format="json")
    assert response.status_code == 403
    assert "geofences:write" in response.json()["detail"]


def test_a_read_only_key_reads(alice):
    client = alice.key_client(["geofences:write"], is_read_only=True)

    assert client.get(GEOFENCES).status_code == 200
    response = client.post(GEOFENCES, {}, format="json")
    assert (response.status_code, response.json()["error_code"]) == (403, "read_only_key")


def test_an_unverified_account_makes_no_keys(alice):
    User.objects.update(email_verified_at=None)

    response = alice.client.post(KEYS, {}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (403, "email_not_verified")
    assert ApiKey.objects.count() == 0


def test_a_workspace_has_a_cap_on_keys(alice, settings):
    settings.MAX_API_KEYS_PER_WORKSPACE = 1
    assert alice.client.post(KEYS, {}, format="json").status_code == 201

    response = alice.client.post(KEYS, {}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (409, "too_many_api_keys")


@pytest.mark.parametrize("method", ["get", "delete"])
def test_nobody_elses_key_exists(alice, bob, mallory, method):
    key, _ = alice.make_key()
    for stranger in (bob, mallory):
        response = getattr(stranger.client, method)(f"{KEYS}/{key.id}")
        absent = getattr(stranger.client, method)(f"{KEYS}/00000000-0000-0000-0000-000000000000")
        malformed = getattr(stranger.client, method)(f"{KEYS}/not-an-id")

        assert response.status_code == 404
        assert response.content == absent.content == malformed.content
    assert mallory.client.get(KEYS).json() == []
    assert ApiKey.objects.get().revoked_at is None


def test_a_request_costs_one_query_to_authenticate(alice, django_assert_num_queries):
    client = alice.key_client()
    with django_assert_num_queries(2):
        assert client.get(GEOFENCES).status_code == 200


def test_keys_have_the_form_that_scanners_recognise():
    for _ in range(100):
        raw = keys.generate()
        assert keys.is_well_formed(raw)
        assert raw.startswith("sf_") and len(raw) == 49 and raw[3:].isalnum()
    assert keys.checksum("sf_" + "0" * 40) == keys.checksum("sf_" + "0" * 40)
    assert len({keys.generate() for _ in range(1000)}) == 1000
