"""The description thrown at the running service for long: `make fuzz`. tests/test_openapi.py does it shortly.

Here the operations that end the sign-in they are tried with are tried as well, each with one of its own.
"""

import pytest

from tests.support.fuzzing import (
    FAREWELLS,
    FOR_KEYS_ALONE,
    MANY_NEW,
    bearer,
    key,
    try_alone,
    try_as_a_person,
    try_as_a_program,
)

pytest_plugins = ["tests.support.fuzzing_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_as_a_person(fuzzed_service, alice, mallory, tmp_path):
    try_as_a_person(fuzzed_service, tmp_path, alice, mallory, effort=MANY_NEW)


def test_as_a_program(fuzzed_service, alice, mallory, tmp_path):
    try_as_a_program(fuzzed_service, tmp_path, alice, mallory, effort=MANY_NEW)


@pytest.mark.parametrize("name", sorted(FOR_KEYS_ALONE))
def test_as_a_key_that_asks(fuzzed_service, alice, mallory, tmp_path, name):
    callers = key(alice, ["tokens:introspect"]), key(mallory, ["tokens:introspect"])
    try_alone(fuzzed_service, tmp_path, callers, name, effort=MANY_NEW)


@pytest.mark.parametrize("name", sorted(FAREWELLS))
def test_as_a_person_who_leaves(fuzzed_service, alice, mallory, tmp_path, name):
    try_alone(fuzzed_service, tmp_path, (bearer(alice), bearer(mallory)), name, effort=MANY_NEW)
