"""All hostile answers, by kind: importing this module registers every kind of them in ATTACKS."""

from tests.support import (
    saml_attacks_addressee,
    saml_attacks_encryption,
    saml_attacks_envelope,
    saml_attacks_name_id,
    saml_attacks_signature,
    saml_attacks_times,
    saml_attacks_transforms,
    saml_attacks_wrapping,
    saml_attacks_xml,
)

KINDS = (
    saml_attacks_addressee,
    saml_attacks_encryption,
    saml_attacks_envelope,
    saml_attacks_name_id,
    saml_attacks_signature,
    saml_attacks_times,
    saml_attacks_transforms,
    saml_attacks_wrapping,
    saml_attacks_xml,
)
