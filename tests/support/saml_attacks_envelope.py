"""Hostile answers whose IDs, versions or status are not as they should be."""

from tests.support.saml_attacks import ASSERTION, SAMLP, add, assertion_of, before, bent, grown, removed, repeated
from tests.support.saml_idp import NS

# --- IDs and versions

add(
    "ids",
    "structure",
    of_both_the_same={"response_id": "_same", "assertion_id": "_same"},
    of_both_the_same_and_both_signed={"response_id": "_same", "assertion_id": "_same", "sign": "both"},
    again_as_xml_id=bent(
        lambda root: root.set("{http://www.w3.org/XML/1998/namespace}id", assertion_of(root).get("ID"))
    ),
    again_in_lower_case=bent(lambda root: root.set("id", assertion_of(root).get("ID"))),
    again_on_the_signature=bent(lambda root: root.find(".//ds:Signature", NS).set("Id", assertion_of(root).get("ID"))),
    again_on_the_issuer=bent(lambda root: root.find("saml:Issuer", NS).set("ID", assertion_of(root).get("ID"))),
    none_on_the_response={"response_id": None},
    none_on_the_assertion={"assertion_id": None, "sign": "response"},
    empty_on_the_assertion={"assertion_id": "", "sign": "response"},
    empty_on_the_response={"response_id": ""},
    with_a_blank={"assertion_id": "_a b", "sign": "response"},
    with_quotes={"assertion_id": "_a'b", "sign": "response"},
    with_a_digit_first={"assertion_id": "1", "sign": "response"},
    with_other_letters={"assertion_id": "_\u0430", "sign": "response"},
    too_long={"assertion_id": "_" + "a" * 300},
)
add(
    "versions",
    "structure",
    response_1_1={"version": "1.1"},
    response_none={"version": None},
    response_empty={"version": ""},
    response_3={"version": "3.0"},
    response_with_a_blank={"version": "2.0 "},
    assertion_1_1={"assertion_version": "1.1"},
    assertion_none={"assertion_version": None},
    assertion_empty={"assertion_version": ""},
    assertion_2={"assertion_version": "2"},
)

# --- Status

STATUS = "urn:oasis:names:tc:SAML:2.0:status:"
add(
    "status",
    "status",
    requester={"status": f"{STATUS}Requester"},
    responder={"status": f"{STATUS}Responder"},
    no_passive={"status": f"{STATUS}NoPassive"},
    failed={"status": f"{STATUS}AuthnFailed"},
    missing={"status": None},
    empty={"status": ""},
    in_lower_case={"status": f"{STATUS}success"},
    with_a_blank={"status": f"{STATUS}Success "},
    of_another_kind={"status": "Success"},
    success_below_failure=before(
        grown(".//samlp:StatusCode", f"{SAMLP}StatusCode", Value=f"{STATUS}Success"),
        status=f"{STATUS}Responder",
    ),
    failure_without_assertion=before(removed(ASSERTION), status=f"{STATUS}Responder", sign="response"),
    element_missing=before(removed("samlp:Status")),
)
add(
    "status",
    "structure",
    twice=before(repeated("samlp:Status")),
    two_codes=before(repeated("samlp:Status/samlp:StatusCode")),
    success_without_assertion=before(removed(ASSERTION), sign="response"),
    success_with_two_assertions=before(repeated(ASSERTION), sign="response"),
)
