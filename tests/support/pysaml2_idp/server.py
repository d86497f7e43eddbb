"""pysaml2's identity provider on loopback: its server, with the few pages that it leaves to whoever uses it.

`python -m tests.support.pysaml2_idp.server FOLDER PORT` serves it.
"""

import html
import json
import secrets
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
from saml2.authn_context import PASSWORDPROTECTEDTRANSPORT
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.saml import NAME_FORMAT_URI, NameID
from saml2.server import Server
from saml2.sigver import get_pem_wrapped_unwrapped, make_temp, pre_encryption_part
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

from tests.support.pysaml2_idp import WRONG_PASSWORD
from tests.support.real_providers import PERSISTENT

SESSION_KEYS = {  # what xmlsec1 calls the keys of these ciphers
    "http://www.w3.org/2001/04/xmlenc#tripledes-cbc": "des-192",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc": "aes-256",
    "http://www.w3.org/2009/xmlenc11#aes256-gcm": "aes-256",
}


class IdpServer(Server):
    """pysaml2's server with the cipher of a test's choice: pysaml2 itself knows 3DES only."""

    cipher: str

    def _encrypt_assertion(self, _cert: Any, sp_entity_id: str, response: Any, node_xpath: Any = None) -> Any:
        ((_, known), *_) = self.metadata.certs(sp_entity_id, "any", "encryption")
        pem, bare = get_pem_wrapped_unwrapped(known)
        file = make_temp(pem, decode=False)
        template = pre_encryption_part(msg_enc=self.cipher, encrypt_cert=bare)
        return self.sec.encrypt_assertion(response, file.name, template, SESSION_KEYS[self.cipher], node_xpath)


@dataclass
class Visit:
    """One browser that is signed in here, and the services that were told so."""

    person: dict[str, str]
    name_ids: dict[str, NameID]


class Provider:
    """The identity provider as idp.json wants it now; who is signed in outlives that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.visits: dict[str, Visit] = {}
        self.lock = Lock()

    def wanted(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "idp.json").read_text())
        return read

    def server(self, wanted: dict[str, Any]) -> IdpServer:
        base, service = wanted["base_url"], self.folder / "sp.xml"
        signing = wanted["signing_key"]
        config = {
            "entityid": wanted["entity_id"],
            "key_file": str(self.folder / f"{signing}.key"),
            "cert_file": str(self.folder / f"{signing}.crt"),
            "additional_cert_files": [str(self.folder / "next.crt")] if wanted["announces_next_key"] else [],
            "xmlsec_binary": shutil.which("xmlsec1"),
            "metadata": {"local": [str(service)]} if service.exists() else {},
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [(f"{base}/sso", BINDING_HTTP_REDIRECT)],
                        "single_logout_service": [(f"{base}/slo", BINDING_HTTP_REDIRECT)],
                    },
                    "policy": {"default": {"lifetime": {"minutes": 5}, "name_form": NAME_FORMAT_URI}},
                    "name_id_format": [wanted["name_id_format"]],
                    "want_authn_requests_signed": wanted["wants_signed_requests"],
                    "signing_algorithm": SIG_RSA_SHA256,
                    "digest_algorithm": DIGEST_SHA256,
                }
            },
        }
        server = IdpServer(config=IdPConfig().load(config))
        server.cipher = wanted["cipher"]
        return server

    def metadata(self) -> str:
        with self.lock:
            return str(entity_descriptor(self.server(self.wanted()).config))

    def answer(self, query: dict[str, str], visit: Visit) -> str:
        """Return the page that posts our answer to an AuthnRequest of a service that we know."""
        wanted = self.wanted()
        server = self.server(wanted)
        request = server.parse_authn_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT, **signature(query))
        asked = server.response_args(request.message, [BINDING_HTTP_POST])
        asked.pop("binding")
        name_id = self.name_id(wanted, visit.person, asked["sp_entity_id"])
        visit.name_ids[asked["sp_entity_id"]] = name_id
        person = visit.person
        response = server.create_authn_response(
            {"mail": person["email"], "givenName": person["first_name"], "sn": person["last_name"]},
            userid=person["user"],
            name_id=name_id,
            authn={"class_ref": PASSWORDPROTECTEDTRANSPORT, "authn_auth": wanted["entity_id"]},
            sign_response=wanted["signs_response"],
            sign_assertion=wanted["signs_assertion"],
            encrypt_assertion=wanted["encrypts"],
            **asked,
        )
        return form(server, response, asked["destination"], query.get("RelayState", ""))

    def name_id(self, wanted: dict[str, Any], person: dict[str, str], service: str) -> NameID:
        text = person["email"]
        if wanted["name_id_format"] == PERSISTENT:
            text = sha256(f"{wanted['salt']} {service} {person['user']}".encode()).hexdigest()
        return NameID(format=wanted["name_id_format"], sp_name_qualifier=service, text=text)

    def end(self, visit_id: str) -> str:
        """End a visit that its browser ends here; return where that has to be told, or nothing."""
        visit = self.visits.pop(visit_id, None)
        if visit is None or not visit.name_ids:
            return ""
        ((service, name_id),) = visit.name_ids.items()
        server = self.server(self.wanted())
        where = server.metadata.single_logout_service(service, BINDING_HTTP_REDIRECT, "spsso")[0]["location"]
        _, request = server.create_logout_request(where, service, name_id=name_id)
        return location(server.apply_binding(BINDING_HTTP_REDIRECT, str(request), where, sign=True))

    def end_by_request(self, query: dict[str, str]) -> str:
        """End the visits of whom a service names; return where our answer goes. Its signature must hold."""
        server = self.server(self.wanted())
        server.config.setattr("idp", "want_authn_requests_signed", True)
        request = server.parse_logout_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT, **signature(query))
        named = request.message.name_id.text
        service = request.message.issuer.text
        for visit_id, visit in list(self.visits.items()):
            if service in visit.name_ids and visit.name_ids[service].text == named:
                del self.visits[visit_id]
        answer = server.create_logout_response(request.message, [BINDING_HTTP_REDIRECT])
        where = answer.destination
        relay_state = query.get("RelayState", "")
        return location(
            server.apply_binding(
                BINDING_HTTP_REDIRECT, str(answer), where, relay_state=relay_state, response=True, sign=True
            )
        )


def signature(query: dict[str, str]) -> dict[str, str | None]:
    return {
        "relay_state": query.get("RelayState"),
        "sigalg": query.get("SigAlg"),
        "signature": query.get("Signature"),
    }


def form(server: IdpServer, response: Any, destination: str, relay_state: str) -> str:
    sent = server.apply_binding(BINDING_HTTP_POST, str(response), destination, relay_state, response=True)
    page: str = sent["data"]
    return page


def location(sent: dict[str, Any]) -> str:
    return str(dict(sent["headers"])["Location"])


class Pages(BaseHTTPRequestHandler):
    """The pages: a login form, single sign-on, single logout, metadata."""

    provider: Provider

    def do_GET(self) -> None:
        self.answer_safely(self.page)

    def do_POST(self) -> None:
        self.answer_safely(self.login)

    def answer_safely(self, page: Callable[[dict[str, str]], None]) -> None:
        try:
            query = urlsplit(self.path).query
            if self.command == "POST":
                query = self.rfile.read(int(self.headers["Content-Length"])).decode()
            page(dict(parse_qsl(query)))
        except Exception as error:
            self.send(400, f"<p>Refused: {html.escape(repr(error))}")
            raise

    def page(self, query: dict[str, str]) -> None:
        path = urlsplit(self.path).path
        if path == "/metadata":
            self.send(200, self.provider.metadata(), "application/samlmetadata+xml")
        elif path == "/sso" and (visit := self.provider.visits.get(self.visit_id)):
            self.send(200, self.provider.answer(query, visit))
        elif path == "/sso":
            self.send(200, self.login_form(query))
        elif path == "/slo" and "SAMLRequest" in query:
            self.redirect(self.provider.end_by_request(query))
        elif path == "/logout" and (told := self.provider.end(self.visit_id)):
            self.redirect(told)
        elif path in ("/logout", "/slo"):
            self.send(200, "<p>You are signed out at the identity provider.")
        else:
            self.send(404, "<p>There is no such page.")

    def login(self, filled_in: dict[str, str]) -> None:
        typed = filled_in.pop("user", ""), filled_in.pop("password", "")
        people = self.provider.wanted()["people"]
        person = next((one for one in people if (one["user"], one["password"]) == typed), None)
        if person is None:
            self.send(200, f"<p>{WRONG_PASSWORD}{self.login_form(filled_in)}")
            return
        visit_id, visit = secrets.token_urlsafe(16), Visit(person, {})
        self.provider.visits[visit_id] = visit
        self.send(200, self.provider.answer(filled_in, visit), cookie=f"visit={visit_id}; Path=/; HttpOnly")

    def login_form(self, query: dict[str, str]) -> str:
        hidden = "".join(
            f"<input type=hidden name={html.escape(name)} value='{html.escape(value)}'>"
            for name, value in query.items()
        )
        return (
            f"<form method=post>{hidden}<input name=user><input name=password type=password><button>Go</button></form>"
        )

    @property
    def visit_id(self) -> str:
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("visit")
        return cookie.value if cookie else ""

    def redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    def send(self, status: int, body: str, content_type: str = "text/html; charset=utf-8", cookie: str = "") -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    Pages.provider = Provider(Path(sys.argv[1]))
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Pages).serve_forever()


if __name__ == "__main__":
    main()
