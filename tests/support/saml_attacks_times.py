"""Hostile answers that hold at another time, or make other statements than a sign-in."""

from typing import Any

from lxml import etree

from tests.support.saml_attacks import ASSERTION, SAML, SAMLP, Maker, add, before, both, grown, repeated, tampered
from tests.support.saml_idp import NS

NO_TIMES = {
    "empty": "",
    "word": "tomorrow",
    "nan": "NaN",
    "number": "1764000000",
    "date": "2099-01-01",
    "impossible_month": "2027-13-01T00:00:00Z",
    "impossible_day": "2027-02-30T00:00:00Z",
    "impossible_hour": "2027-01-01T25:00:00Z",
    "leap_second": "2027-06-30T23:59:60Z",
    "year_0": "0000-01-01T00:00:00Z",
    "year_99999": "99999-01-01T00:00:00Z",
    "negative_year": "-2027-01-01T00:00:00Z",
    "no_zone": "2027-01-01T00:00:00",
    "another_zone": "2027-01-01T00:00:00+02:00",
    "zero_offset": "2027-01-01T00:00:00+00:00",
    "lower_case": "2027-01-01t00:00:00z",
    "blank_in_it": "2027-01-01 00:00:00Z",
    "other_digits": "\u0662\u0660\u0662\u0667-01-01T00:00:00Z",
    "fraction_of_100_digits": f"2027-01-01T00:00:00.{'1' * 100}Z",
}
TOO_LATE = {"last_second": 3600 + 125, "a_day": 86_400, "a_year": 31_536_000, "year_9999": "9999-12-31T23:59:59Z"}
add(
    "times",
    "not_on_or_after",
    **{f"confirmation_ends_{name}": {"confirmation_not_on_or_after": text} for name, text in NO_TIMES.items()},
    **{f"conditions_end_{name}": {"not_on_or_after": text} for name, text in NO_TIMES.items()},
    **{f"confirmation_ends_late_by_{name}": {"confirmation_not_on_or_after": when} for name, when in TOO_LATE.items()},
    confirmation_ends_never={"confirmation_not_on_or_after": None},
    confirmation_has_ended={"confirmation_not_on_or_after": -122},
    confirmation_ended_long_ago={"confirmation_not_on_or_after": "2001-01-01T00:00:00Z"},
    conditions_end_never={"not_on_or_after": None},
    conditions_without_times={"not_on_or_after": None, "not_before": None},
    conditions_have_ended={"not_on_or_after": -122},
    conditions_end_late={"not_on_or_after": 70 * 60 + 125},
    conditions_last_two_hours={"not_before": -7200, "not_on_or_after": 300},
    both_have_ended={"not_on_or_after": -122, "confirmation_not_on_or_after": -122},
)
add(
    "times",
    "not_before",
    **{f"conditions_begin_{name}": {"not_before": text} for name, text in NO_TIMES.items() if name != "blank_in_it"},
    conditions_begin_ahead={"not_before": 125},
    conditions_begin_tomorrow={"not_before": 86_400},
    conditions_begin_year_9999={"not_before": "9999-12-31T23:59:59Z"},
    confirmation_begins_ahead={"confirmation_not_before": 125},
    confirmation_begins_nonsense={"confirmation_not_before": "NaN"},
)


def in_statement(**attributes: str | None) -> Maker:
    """Return a lie about the AuthnStatement's attributes; None takes one away."""

    def edit(root: Any) -> None:
        statement = root.find(f"{ASSERTION}/saml:AuthnStatement", NS)
        for name, value in attributes.items():
            statement.attrib.pop(name, None)
            if value is not None:
                statement.set(name, value)

    return before(edit)


add(
    "times",
    "clock",
    issued_ahead={"issued": 125},
    issued_in_year_9999={"issued": "9999-12-31T23:59:59Z"},
    issued_never={"issued": None},
    issued_nonsense={"issued": "NaN"},
    assertion_issued_ahead=before(tampered(ASSERTION, IssueInstant="2099-01-01T00:00:00Z")),
)
add(
    "times",
    "authn_statement",
    signed_in_ahead=in_statement(AuthnInstant="2099-01-01T00:00:00Z"),
    signed_in_nonsense=in_statement(AuthnInstant="NaN"),
    signed_in_never=in_statement(AuthnInstant=None),
)
add(
    "times",
    "session",
    session_has_ended={"session_not_on_or_after": -122},
    session_ended_long_ago={"session_not_on_or_after": "2001-01-01T00:00:00Z"},
    **{f"session_ends_{name}": {"session_not_on_or_after": text} for name, text in NO_TIMES.items()},
)
add(
    "statements",
    "authn_statement",
    none={"has_authn_statement": False},
    two=before(repeated(f"{ASSERTION}/saml:AuthnStatement")),
)
add(
    "statements",
    "structure",
    authorization=before(grown(ASSERTION, f"{SAML}AuthzDecisionStatement")),
    of_an_unknown_kind=before(grown(ASSERTION, f"{SAML}Statement")),
    advice=before(grown(ASSERTION, f"{SAML}Advice")),
    extensions=before(lambda root: root.insert(1, etree.Element(f"{SAMLP}Extensions"))),
    encrypted_attribute=before(
        both(
            grown(ASSERTION, f"{SAML}AttributeStatement"),
            grown(f"{ASSERTION}/saml:AttributeStatement", f"{SAML}EncryptedAttribute"),
        )
    ),
)
