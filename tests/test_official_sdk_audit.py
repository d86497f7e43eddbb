"""The audit log through the official SDK."""

import csv
import io
import json

import pytest

from tests.support.cast import Actor
from tests.support.sdk import Client, Sdk, built
from tests.support.sdk_operations import exercises

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


@exercises("audit_logs.list")
def test_the_trail_is_listed_filtered_and_paged(alice: Actor, alice_sdk: Client):
    alice_sdk.call("account.create_api_key", request=built("ApiKeyCreateRequest", name="CI"))

    page = alice_sdk.call("audit_logs.list", page=1, page_size=1)
    found = alice_sdk.call("audit_logs.list", action="api_key.created", user_id=str(alice.user.id))

    assert (page["total"], page["page"], page["page_size"], page["has_more"]) == (2, 1, 1, True)
    assert found["logs"] == page["logs"]
    event = page["logs"][0]
    assert (event["user_email"], event["action"], event["resource_type"], event["description"]) == (
        "alice@acme.test",
        "api_key.created",
        "api_key",
        "API key created.",
    )
    assert (event["http_method"], event["path"]) == ("POST", "/api/v1/account/api-keys")


def test_events_of_nobody_known_are_listed_too(sdk: Sdk, alice: Actor, alice_sdk: Client):
    sdk.client().refused("auth.login", login_schema=built("LoginSchema", email=alice.user.email, password="wrong"))

    (event,) = alice_sdk.call("audit_logs.list", action="auth.sign_in_failed")["logs"]

    assert (event["user_email"], event["status_code"]) == ("alice@acme.test", 401)


@exercises("audit_logs.export")
def test_an_export_is_the_text_of_a_csv_or_json_file(alice_sdk: Client):
    text = alice_sdk.call("audit_logs.export", resource_type="session")
    document = alice_sdk.call("audit_logs.export", export_format="json")

    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["user_email"], row["action"]) == ("alice@acme.test", "auth.signed_in")
    events = json.loads(document)
    assert [event["action"] for event in events] == ["audit.exported", "audit.exported", "auth.signed_in"]
    assert "changes" not in events[0]
