"""Hostile answers for somebody else, from somebody else, to another question or for another bearer."""

from tests.support.saml_attacks import (
    ACS,
    ASSERTION,
    DS,
    ENTITY,
    IDP,
    SAML,
    add,
    before,
    bent,
    grown,
    removed,
    repeated,
    without,
)
from tests.support.saml_idp import BEARER, NS

# --- Whom and what it is for

NOT_OURS: dict[str, str | None] = {
    "longer": "/",
    "with_a_query": "?x=1",
    "with_a_fragment": "#x",
    "with_a_blank": " ",
    "with_a_newline": "\n",
}


def strangers_to(address: str) -> dict[str, str | None]:
    return {
        **{name: address + (end or "") for name, end in NOT_OURS.items()},
        "shorter": address[:-1],
        "contained": f"https://evil.test/?{address}",
        "in_capitals": address.upper(),
        "host_in_capitals": address.replace("localhost", "LOCALHOST"),
        "of_another_workspace": address.replace("/acme/", "/other/"),
        "of_another_host": address.replace("localhost:8000", "evil.test"),
        "on_https": address.replace("http:", "https:"),
        "with_dots": address.replace("/acme/", "/acme/../acme/"),
        "escaped": address.replace("acme", "%61cme"),
        "empty": "",
        "missing": None,
    }


add("recipient", "recipient", **{name: {"recipient": value} for name, value in strangers_to(ACS).items()})
add("destination", "destination", **{name: {"destination": value} for name, value in strangers_to(ACS).items()})
add(
    "audience",
    "audience",
    **{name: {"audiences": [[value]] if value is not None else []} for name, value in strangers_to(ENTITY).items()},
    restriction_empty={"audiences": [[]]},
    conditions_missing={"has_conditions": False, "confirmation_not_on_or_after": 300},
    two_restrictions_first_foreign={"audiences": [["https://other.test"], [ENTITY]]},
    two_restrictions_last_foreign={"audiences": [[ENTITY], ["https://other.test"]]},
    two_restrictions_one_empty={"audiences": [[ENTITY], []]},
    many_foreign={"audiences": [[f"https://{n}.test" for n in range(20)]]},
    two_in_one={"audiences": [[f"{ENTITY} https://other.test"]]},
    our_acs={"audiences": [[ACS]]},
)
add(
    "audience",
    "structure",
    outside_of_a_restriction=before(
        lambda root: root.find(".//saml:Conditions", NS).append(root.find(".//saml:Audience", NS))
    ),
    conditions_twice=before(repeated(f"{ASSERTION}/saml:Conditions")),
    unknown_condition=before(grown(".//saml:Conditions", f"{SAML}Condition")),
)
add(
    "issuer",
    "issuer",
    **{f"of_assertion_{name}": {"issuer": value} for name, value in strangers_to(IDP).items() if value != IDP},
    **{
        f"of_response_{name}": {"response_issuer": value}
        for name, value in strangers_to(IDP).items()
        if value not in (IDP, None)
    },
    both_empty={"issuer": "", "response_issuer": ""},
    both_missing={"issuer": None, "response_issuer": None},
    swapped={"issuer": "https://idp.other.test/saml", "response_issuer": IDP},
)
add(
    "issuer",
    "structure",
    twice=before(repeated(f"{ASSERTION}/saml:Issuer")),
    in_the_response_twice=before(repeated("saml:Issuer")),
)

# --- Whose question it answers

add(
    "in_response_to",
    "in_response_to",
    confirmation_missing={"confirmation_in_response_to": None},
    confirmation_empty={"confirmation_in_response_to": ""},
    confirmation_foreign={"confirmation_in_response_to": "_foreign"},
    confirmation_longer=lambda scene: scene.say(confirmation_in_response_to=str(scene.message().in_response_to) + "x"),
    response_foreign={"in_response_to": "_foreign"},
    response_empty={"in_response_to": ""},
    response_missing={"in_response_to": None},
    response_missing_confirmation_right=lambda scene: scene.say(
        in_response_to=None, confirmation_in_response_to=str(scene.message().in_response_to)
    ),
    response_stripped=bent(without(".", "InResponseTo")),
    response_longer=lambda scene: scene.say(in_response_to=str(scene.message().in_response_to) + "x"),
    response_without_underscore=lambda scene: scene.say(in_response_to=str(scene.message().in_response_to)[1:]),
    two_ids=lambda scene: scene.say(in_response_to=f"{scene.message().in_response_to} _foreign"),
)

# --- Who is meant to bring it

add(
    "confirmation",
    "confirmation",
    method_missing={"method": None},
    method_empty={"method": ""},
    method_longer={"method": f"{BEARER}x"},
    holder_of_key={"method": "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"},
    sender_vouches={"method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"},
    of_saml_1_1={"method": "urn:oasis:names:tc:SAML:1.0:cm:bearer"},
    none=before(removed(f"{ASSERTION}/saml:Subject/saml:SubjectConfirmation")),
    without_data=before(removed(f"{ASSERTION}/saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData")),
    twice=before(repeated(f"{ASSERTION}/saml:Subject/saml:SubjectConfirmation")),
)
add(
    "confirmation",
    "structure",
    data_twice=before(repeated(f"{ASSERTION}/saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData")),
    key_in_the_data=before(grown(".//saml:SubjectConfirmationData", f"{DS}KeyInfo")),
    subject_twice=before(repeated(f"{ASSERTION}/saml:Subject")),
)
