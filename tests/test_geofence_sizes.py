"""How large JSON is taken to be, compared with what Postgres makes of it."""

import json
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geofences.stored_json import find_reason_not_to_store, is_plainly_within

texts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.sampled_from('\x01\x1f\x7f\b\f\n\r\t"\\\\/\u2028'),
    max_size=12,
)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False).filter(bool)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.django_db
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=values)
def test_a_size_is_that_of_the_answer(value: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT octet_length(row_to_json(one)::text) - 6 FROM (SELECT %s::jsonb AS a) AS one", [json.dumps(value)]
        )
        (size,) = cursor.fetchone()

    assert find_reason_not_to_store(value, size) is None
    assert find_reason_not_to_store(value, size - 1) is not None
    assert not is_plainly_within(value, size - 1)
