"""An owner's requests about their identity provider, and an identity provider's metadata that can be wrong in every
way.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from accounts.models import AuditEvent
from accounts.principal import Client
from accounts.tokens import issue
from sso.models import IdentityProvider
from tests.support.cast import Actor, bearer
from tests.support.saml_idp import certificate

CONFIG = "/api/v1/workspaces/saml-config"
STAGED = f"{CONFIG}/staged"
ENTITY = "https://idp.acme.test/saml"
SSO_URL = "https://idp.acme.test/sso"
SLO_URL = "https://idp.acme.test/slo"
PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
BINDINGS = "urn:oasis:names:tc:SAML:2.0:bindings:"


def core(**changed: Any) -> dict[str, Any]:
    """Return the contract's SAMLConfigIn."""
    usual = {
        "entity_id": ENTITY,
        "sso_url": SSO_URL,
        "certificate": certificate("idp"),
        "covered_domain": "acme.test",
    }
    return usual | changed


def put(actor: Actor, path: str = CONFIG, **changed: Any) -> Any:
    body = core(**changed)
    if path == STAGED:
        del body["covered_domain"]  # it covers those of the serving one
    return actor.client.put(path, body, format="json")


def patch(actor: Actor, path: str = CONFIG, **changed: Any) -> Any:
    return actor.client.patch(path, changed, format="json")


def post(actor: Actor, leaf: str, **body: Any) -> Any:
    return actor.client.post(f"{CONFIG}/{leaf}", body, format="json")


def configured(actor: Actor, path: str = CONFIG, **changed: Any) -> dict[str, Any]:
    response = put(actor, path, **changed)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def refused(response: Any, status: int, code: str) -> Any:
    """Assert a refusal, and return its sentence."""
    assert (response.status_code, response.json()["error_code"]) == (status, code), response.content
    return response.json()["detail"]


def invalid(response: Any, field: str) -> str:
    """Assert a 422 that names this field alone, and return what it says of it."""
    refused(response, 422, "validation_error")
    [(name, messages)] = response.json()["details"].items()
    assert name == field, response.content
    return str(messages[0])


def changes_of(action: str) -> dict[str, Any]:
    """Return what the trail's newest event says, which is of this action."""
    event = AuditEvent.objects.latest("sequence")
    assert event.action == action
    return dict(event.changes or {})


def body_of(pem: str) -> str:
    return "".join(pem.strip().splitlines()[1:-1])


def key_descriptor(pem: str, use: str | None = "signing", chain: Iterable[str] = ()) -> str:
    certificates = "".join(f"<ds:X509Certificate>{body_of(each)}</ds:X509Certificate>" for each in (pem, *chain))
    kind = "" if use is None else f' use="{use}"'
    return (
        f"<md:KeyDescriptor{kind}><ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )


NEW_KEY = key_descriptor(certificate("idp-2"))
BOTH_KEYS = key_descriptor(certificate("idp")) + NEW_KEY


def endpoint(name: str, url: str, binding: str = "HTTP-Redirect") -> str:
    return f'<md:{name} Binding="{BINDINGS}{binding}" Location={quoteattr(url)}/>'


def entity(
    entity_id: str = ENTITY,
    keys: str | None = None,
    services: str | None = None,
    protocols: str = PROTOCOL,
    role: str = "IDPSSODescriptor",
    attributes: str = "",
) -> str:
    """Return an EntityDescriptor."""
    keys = key_descriptor(certificate("idp")) if keys is None else keys
    if services is None:
        services = endpoint("SingleLogoutService", SLO_URL) + endpoint("SingleSignOnService", SSO_URL, "HTTP-POST")
        services += endpoint("SingleSignOnService", SSO_URL)
    return (
        '<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" '
        f'xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="{escape(entity_id)}" {attributes}>'
        f'<md:{role} protocolSupportEnumeration="{protocols}">{keys}{services}</md:{role}></md:EntityDescriptor>'
    )


def entities(*members: str) -> str:
    inside = "".join(members)
    return f'<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">{inside}</md:EntitiesDescriptor>'


def serving() -> IdentityProvider:
    return IdentityProvider.objects.get(state=IdentityProvider.State.SERVING)


def signed_in_by(actor: Actor, method: str) -> Actor:
    """Return the same person, signed in to their workspace by another way."""
    pair = issue(actor.membership, method, Client("192.0.2.9", "another browser"))
    return replace(actor, pair=pair, client=bearer(pair.access_token))
