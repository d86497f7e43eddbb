"""Hostile answers whose NameID is nobody's name."""

from copy import deepcopy

from tests.support.saml_attacks import (
    ASSERTION,
    ATTACKER,
    NAME_ID,
    SAML,
    VICTIM,
    add,
    assertion_of,
    before,
    forged,
    grown,
    removed,
    repeated,
    tampered,
)
from tests.support.saml_idp import NS

add(
    "name_id",
    "name_id",
    missing={"name_id": None},
    empty={"name_id": ""},
    blank={"name_id": " "},
    newline={"name_id": "\n"},
    newline_at_the_end={"name_id": f"{VICTIM}\n"},
    newline_in_it={"name_id": f"{VICTIM}\n{ATTACKER}"},
    blank_before={"name_id": f" {VICTIM}"},
    blank_in_it={"name_id": f"{VICTIM} {ATTACKER}"},
    tab={"name_id": f"{VICTIM}\t"},
    carriage_return={"name_id": f"{VICTIM}\r"},
    no_break_blank={"name_id": f"{VICTIM}\u00a0"},
    ideographic_blank={"name_id": f"{VICTIM}\u3000"},
    zero_width_blank={"name_id": "alice\u200b@acme.test"},
    soft_hyphen={"name_id": "al\u00adice@acme.test"},
    right_to_left={"name_id": f"\u202e{VICTIM}"},
    byte_order_mark={"name_id": f"\ufeff{VICTIM}"},
    line_separator={"name_id": f"{VICTIM}\u2028"},
    next_line={"name_id": f"{VICTIM}\u0085"},
    delete={"name_id": f"{VICTIM}\x7f"},
    private_use={"name_id": f"{VICTIM}\ue000"},
    unassigned={"name_id": f"{VICTIM}\u0378"},
    too_long={"name_id": "a" * 245 + "@acme.test"},
    much_too_long={"name_id": "a" * 100_000},
    transient={"name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"},
    encrypted_format={"name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:encrypted"},
    for_another_service=before(tampered(NAME_ID, SPNameQualifier="https://other.test")),
    for_no_service=before(tampered(NAME_ID, SPNameQualifier="")),
    subject_missing=before(removed(NAME_ID)),
)
add(
    "name_id",
    "structure",
    twice=before(repeated(NAME_ID)),
    two_names=before(
        lambda root: root.find(NAME_ID, NS).addnext(
            deepcopy(forged(assertion_of(root)).find("saml:Subject/saml:NameID", NS))
        )
    ),
    encrypted=before(grown(f"{ASSERTION}/saml:Subject", f"{SAML}EncryptedID")),
    base_id=before(grown(f"{ASSERTION}/saml:Subject", f"{SAML}BaseID")),
)
