"""The question that a browser takes to an identity provider (SAML core 3.4.1), in an address (bindings 3.4)."""

from lxml import etree
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Constants

from spatialflow import clock
from sso.models import IdentityProvider
from sso.saml import service_provider
from sso.saml.keys import get_key_pair
from sso.saml.redirect import redirect_url
from sso.saml.settings import HTTP_POST, UNSPECIFIED


def authn_request_url(provider: IdentityProvider, request_id: str, force_login: bool = False) -> str:
    """Return the address at the provider that asks it who the browser's user is, for the HTTP-Redirect binding.

    `request_id` is the ID as the answer must name it, underscore included. With `force_login` the provider asks for a
    login although the user has a session there. Signed with RSA-SHA256 where the provider is to see that it is us.
    There is no RelayState: what comes next is kept on our side, with the ID.
    """
    message = _authn_request(provider, request_id, force_login)
    key = get_key_pair(provider.workspace).private_key if provider.signs_requests else ""
    return redirect_url(provider.sso_url, "SAMLRequest", message, key)


def _authn_request(provider: IdentityProvider, request_id: str, force_login: bool) -> bytes:
    root = etree.Element(
        f"{{{Constants.NS_SAMLP}}}AuthnRequest",
        {
            "ID": request_id,
            "Version": "2.0",
            "IssueInstant": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Destination": provider.sso_url,
            "AssertionConsumerServiceURL": service_provider.acs_url(provider.workspace),
            "ProtocolBinding": HTTP_POST,
        },
        nsmap={"samlp": Constants.NS_SAMLP, "saml": Constants.NS_SAML},
    )
    if force_login:
        root.set("ForceAuthn", "true")
    issuer = etree.SubElement(root, f"{{{Constants.NS_SAML}}}Issuer")
    issuer.text = service_provider.entity_id(provider.workspace)
    etree.SubElement(root, f"{{{Constants.NS_SAMLP}}}NameIDPolicy", {"Format": UNSPECIFIED, "AllowCreate": "true"})
    return etree.tostring(root)
