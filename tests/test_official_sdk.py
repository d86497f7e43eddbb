"""The official SDK, unmodified, against the running service: what holds for every operation, and how many of the 91
operations tests carry out. What each of them does is in the other test_official_sdk_*.py.
"""

import hashlib
import importlib
import importlib.metadata
import re
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import jwt
import pytest
from django.conf import settings
from django.urls import Resolver404, resolve

from tests.support.cast import PASSWORD, Actor
from tests.support.fences import POLYGON, store_fence
from tests.support.sdk import Client, Driver, Refusal, Sdk, built, from_dict
from tests.support.sdk_operations import OPERATIONS, exercised
from tests.support.urls import EXAMPLE_ID

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

# The operations that the service does not have yet. Whoever builds one takes it out here and writes its test.
NOT_YET: set[str] = set()

NOT_AUTHENTICATED = Refusal(
    "AuthenticationError",
    401,
    "Authentication credentials were not provided. Send X-API-KEY or Authorization: Bearer.",
    "not_authenticated",
)
NOT_FOUND = Refusal("NotFoundError", 404, "Not found.", "not_found")
UNKNOWN_KEY = Refusal(
    "AuthenticationError",
    401,
    "Invalid credentials: the API key is unknown, expired or revoked.",
    "invalid_api_key",
)


def is_served(request: str) -> bool:
    """Return whether the URL map has this method and path, and not just a path that swallows its last words."""
    method, template = request.split()
    try:
        match = resolve(re.sub(r"\{\w+\}", EXAMPLE_ID, template).rstrip("/"))
    except Resolver404:
        return False
    view = getattr(match.func, "view_class", None)
    return set(match.kwargs.values()) <= {EXAMPLE_ID} and (view is None or hasattr(view, method.lower()))


def test_every_operation_is_carried_out_by_a_test_or_not_yet_built(sdk_driver: Driver):
    for path in Path(__file__).parent.glob("test_official_sdk*.py"):
        importlib.import_module(f"{__package__}.{path.stem}")
    built_meanwhile = {
        name for name, request in sdk_driver.describe()["requests"].items() if name in NOT_YET and is_served(request)
    }

    print(f"The official SDK carries out {len(exercised)} of {len(OPERATIONS)} operations.")
    assert len(OPERATIONS) == len(set(OPERATIONS.values())) == 91
    assert built_meanwhile == set(), "The service has these now: take them out of NOT_YET, with a test."
    assert OPERATIONS.keys() >= NOT_YET
    assert exercised == OPERATIONS.keys() - NOT_YET


def test_the_sdk_is_the_published_one_and_ours_is_out_of_its_sight(sdk_driver: Driver):
    facts = sdk_driver.describe()
    package = importlib.metadata.distribution("spatialflow")
    changed = [str(file) for file in package.files or [] if file.hash and file.hash.value != digest_of(file.locate())]

    assert f"spatialflow=={facts['version']}" in (settings.BASE_DIR / "requirements-dev.txt").read_text().splitlines()
    assert Path(facts["file"]) == Path(str(package.locate_file("spatialflow/__init__.py")))
    assert changed == []


def digest_of(path: Path) -> str:
    return urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def test_either_credential_reads_the_same(alice: Actor, alice_sdk: Client, key_sdk: Client):
    fence = store_fence(alice)

    page = {"geofences": [fence], "count": 1, "total_count": 1}
    assert key_sdk.call("geofences.list") == alice_sdk.call("geofences.list") == page


def test_an_unknown_key_is_an_authentication_error(sdk: Sdk):
    client = sdk.client(api_key="sf_invalid_key_12345")

    assert client.refused("geofences.list") == UNKNOWN_KEY


def test_a_revoked_key_is_an_authentication_error_on_its_next_call(sdk: Sdk, alice: Actor, alice_sdk: Client):
    key, raw = alice.make_key()
    client = sdk.client(api_key=raw)
    client.call("geofences.list")

    alice_sdk.call("account.delete_api_key", key_id=str(key.id))

    assert client.refused("geofences.list") == UNKNOWN_KEY


@pytest.mark.parametrize(
    ("change", "detail", "error_code"),
    [
        ({"exp": 1}, "Token expired", "token_expired"),
        ({"sub": EXAMPLE_ID}, "Invalid or expired token", "invalid_token"),
        ({"aud": "another-api"}, "Invalid or expired token", "invalid_token"),
    ],
)
def test_a_bad_token_is_an_authentication_error(sdk: Sdk, alice: Actor, change, detail, error_code):
    claims = jwt.decode(alice.pair.access_token, options={"verify_signature": False})
    kid, secret = next(iter(settings.JWT_SIGNING_KEYS.items()))
    token = jwt.encode({**claims, **change}, secret, "HS256", headers={"kid": kid})

    refusal = sdk.client(access_token=token).refused("auth.me")

    assert refusal == Refusal("AuthenticationError", 401, detail, error_code)


def test_a_forged_token_is_an_authentication_error(sdk: Sdk, alice: Actor):
    claims = jwt.decode(alice.pair.access_token, options={"verify_signature": False})
    kid = next(iter(settings.JWT_SIGNING_KEYS))
    token = jwt.encode({**claims, "exp": int(time.time()) + 60}, "x" * 40, "HS256", headers={"kid": kid})

    refusal = sdk.client(access_token=token).refused("geofences.list")

    assert refusal == Refusal("AuthenticationError", 401, "Invalid or expired token", "invalid_token")


@pytest.mark.parametrize("name", ["auth.me", "auth.logout", "account.list_api_keys"])
def test_with_an_api_key_the_sdk_sends_no_credential_to_what_only_people_may_do(key_sdk: Client, name):
    assert key_sdk.refused(name) == NOT_AUTHENTICATED
    key_sdk.call("geofences.list")


def test_a_missing_scope_is_a_permission_error_that_names_it(sdk: Sdk, alice: Actor):
    client = sdk.client(api_key=alice.make_key(["geofences:read"])[1])
    client.call("geofences.list")

    refusal = client.refused("geofences.create", request=from_dict("CreateGeofenceRequest", name="D", geometry=POLYGON))

    detail = "Insufficient permissions: this request needs the scope geofences:write."
    assert refusal == Refusal("PermissionError", 403, detail, "insufficient_permissions")


def test_a_read_only_key_that_writes_is_a_permission_error(sdk: Sdk, alice: Actor):
    client = sdk.client(api_key=alice.make_key(["geofences:write"], is_read_only=True)[1])
    client.call("geofences.list")

    refusal = client.refused("geofences.create", request=from_dict("CreateGeofenceRequest", name="D", geometry=POLYGON))

    detail = "Insufficient permissions: this API key is read-only, so it cannot use geofences:write to POST."
    assert refusal == Refusal("PermissionError", 403, detail, "read_only_key")


def test_a_role_that_may_not_write_is_a_permission_error(sdk: Sdk, carol: Actor):
    client = sdk.client(access_token=carol.pair.access_token)
    client.call("geofences.list")

    refusal = client.refused("geofences.create", request=from_dict("CreateGeofenceRequest", name="D", geometry=POLYGON))

    assert (refusal.kind, refusal.status_code, refusal.error_code) == (
        "PermissionError",
        403,
        "insufficient_permissions",
    )


def test_an_absent_fence_and_a_strangers_are_the_same_not_found_error(alice_sdk: Client, mallory: Actor):
    hers = store_fence(mallory)["id"]

    assert alice_sdk.refused("geofences.get", geofence_id=EXAMPLE_ID) == NOT_FOUND
    assert alice_sdk.refused("geofences.get", geofence_id=hers) == NOT_FOUND
    assert alice_sdk.refused("geofences.delete", geofence_id=hers) == NOT_FOUND
    assert alice_sdk.refused("account.get_api_key", key_id=str(mallory.make_key()[0].id)) == NOT_FOUND


def test_a_bad_field_is_a_validation_error_that_names_it(alice_sdk: Client):
    refusal = alice_sdk.refused(
        "account.create_api_key", request=built("ApiKeyCreateRequest", permissions=["geofences:admin"])
    )

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ValidationError", 422, "validation_error")
    assert (refusal.detail or "").startswith("permissions: Unknown permission 'geofences:admin'.")


def test_a_repetition_is_a_conflict_error(alice: Actor, alice_sdk: Client):
    store_fence(alice, "Depot", POLYGON)
    again = {"name": "Depot", "geometry": POLYGON}

    refusal = alice_sdk.refused("geofences.create", request=from_dict("CreateGeofenceRequest", **again))

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ConflictError", 409, "duplicate_geofence")
    alice_sdk.call("geofences.create", request=from_dict("CreateGeofenceRequest", **again, confirm_duplicate=True))


def test_a_used_up_limit_is_a_rate_limit_error_that_says_how_long_to_wait(sdk: Sdk, alice: Actor):
    client = sdk.client(api_key=alice.make_key(hourly_limit=1)[1])
    client.call("geofences.list")

    refusal = client.refused("geofences.list")

    wait = refusal.retry_after
    detail = "Rate limit exceeded; try again after the seconds in Retry-After."
    assert refusal == Refusal("RateLimitError", 429, detail, "rate_limited", wait)
    assert type(wait) is int and 0 < wait <= 3600


def test_too_many_logins_are_a_rate_limit_error_too(anyone_sdk: Client):
    """60 a minute from one address: of 121 in a row at least one is too many, wherever a window ends."""
    login = {"login_schema": from_dict("LoginSchema", email="", password="")}
    refusals = (anyone_sdk.refused("auth.login", **login) for _ in range(121))

    refusal = next(refusal for refusal in refusals if refusal.kind != "ValidationError")

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("RateLimitError", 429, "rate_limited")
    assert type(refusal.retry_after) is int and 0 < refusal.retry_after <= 60


def test_a_wrong_password_is_an_authentication_error(sdk: Sdk, alice: Actor):
    login = from_dict("LoginSchema", email=alice.user.email, password=PASSWORD + "!")

    refusal = sdk.client().refused("auth.login", login_schema=login)

    assert refusal == Refusal("AuthenticationError", 401, "Invalid credentials", "invalid_credentials")
