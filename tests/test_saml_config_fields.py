"""A field that the configuration does not have is refused by its name, so that no misspelt setting seems to be set."""

from typing import Any

import pytest

from sso.models import IdentityProvider
from tests.support.saml_setup import CONFIG, STAGED, configured, core, entity, invalid, patch, post, refused

pytestmark = pytest.mark.django_db

TOLD = "This is told and cannot be set here."


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("requires_sso", True, "Do you mean is_required?"),
        ("enabled", False, "Do you mean is_enabled?"),
        ("create_members", False, "Do you mean creates_members?"),
        ("certificate", "x", TOLD),
        ("tested_at", "2026-11-01T00:00:00Z", TOLD),
        ("state", "serving", TOLD),
        ("colour", {}, "There is no such setting."),
        ("x" * 1000, "", "There is no such setting."),
    ],
)
@pytest.mark.parametrize("path", [CONFIG, STAGED])
def test_a_change_of_what_there_is_not_changes_nothing(alice, path, field, value, says):
    configured(alice)
    configured(alice, STAGED)
    before = list(IdentityProvider.objects.order_by("state").values())

    said = invalid(patch(alice, path, **{field: value, "creates_members": True}), field[:50])

    assert said.endswith(says if path == CONFIG else (TOLD if says == TOLD else ""))
    assert list(IdentityProvider.objects.order_by("state").values()) == before
    assert patch(alice, path, creates_members=True).status_code == 200


@pytest.mark.parametrize(
    ("send", "field"),
    [
        (lambda alice: alice.client.put(CONFIG, core(is_required=True), format="json"), "is_required"),
        (lambda alice: alice.client.put(STAGED, core(), format="json"), "covered_domain"),
        (lambda alice: post(alice, "metadata", xml=entity(), metadata_url="https://8.8.8.8/"), "metadata_url"),
        (lambda alice: post(alice, "test", stage=True), "stage"),
    ],
)
def test_every_way_to_configure_names_it(alice, send, field):
    configured(alice)

    invalid(send(alice), field)


def test_several_are_named_together(alice: Any):
    configured(alice)

    answer = patch(alice, is_requird=True, tested_at=None)

    refused(answer, 422, "validation_error")
    assert answer.json()["details"] == {
        "is_requird": ["There is no such setting. Do you mean is_required?"],
        "tested_at": [TOLD],
    }


def test_a_body_that_is_no_object_is_refused_as_ever(alice):
    configured(alice)

    refused(alice.client.patch(CONFIG, ["creates_members"], format="json"), 422, "validation_error")
