"""python3-saml's settings of one identity provider. Strict, always: nothing turns that off."""

from typing import Any
from urllib.parse import urlsplit

from onelogin.saml2.settings import OneLogin_Saml2_Settings

from sso.models import IdentityProvider
from sso.saml import service_provider

UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
HTTP_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
HTTP_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"


def settings_for(provider: IdentityProvider) -> OneLogin_Saml2_Settings:
    """Return the library's settings of a provider, whose certificates all count, expired ones too.

    The certificates are what an owner stored, and nobody else vouches for them; so their end is a matter for a mail to
    the owner and no reason to lock everybody out. Our own key is not among them: the library never decrypts.
    """
    return OneLogin_Saml2_Settings(_as_dict(provider))


def place(url: str) -> dict[str, str]:
    """Return how python3-saml is told at which of our addresses a message has arrived."""
    parts = urlsplit(url)
    return {"https": "on" if parts.scheme == "https" else "off", "http_host": parts.netloc, "script_name": parts.path}


def _as_dict(provider: IdentityProvider) -> dict[str, Any]:
    workspace = provider.workspace
    return {
        "strict": True,
        "debug": False,
        "sp": {
            "entityId": service_provider.entity_id(workspace),
            "assertionConsumerService": {"url": service_provider.acs_url(workspace), "binding": HTTP_POST},
            "NameIDFormat": UNSPECIFIED,
        },
        "idp": {
            "entityId": provider.entity_id,
            "singleSignOnService": {"url": provider.sso_url, "binding": HTTP_REDIRECT},
            "x509certMulti": {"signing": list(provider.certificates)},
        },
        "security": {
            "allowSingleLabelDomains": True,  # names of a private network
            "rejectDeprecatedAlgorithm": True,
            "wantNameId": True,
            "wantAttributeStatement": False,  # the NameID alone can be the address
            "allowRepeatAttributeName": True,  # sso/saml/response.py joins the values
            "requestedAuthnContext": False,
        },
    }
