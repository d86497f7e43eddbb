"""How messages of single logout are bent, and the signatures that do not hold for a request nor for an answer."""

import base64
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from tests.support.saml_logout import DSIG_MORE, RSA_SHA1, deflate

Parts = dict[str, str]


def without(*names: str) -> Callable[[Parts], None]:
    def bend(parts: Parts) -> None:
        for name in names:
            del parts[name]

    return bend


def with_parts(**changed: str) -> Callable[[Parts], None]:
    return lambda parts: parts.update(changed)


def message_in_place(document: Callable[[bytes], bytes]) -> Callable[[Parts], None]:
    """Put another document under the signature of the honest one."""

    def bend(parts: Parts) -> None:
        name = next(iter(parts))
        raw = zlib.decompress(base64.b64decode(unquote(parts[name])), -15)
        parts[name] = quote(base64.b64encode(deflate(document(raw))).decode(), safe="")

    return bend


def escapes_in_lower_case(parts: Parts) -> None:
    parts["SAMLRequest"] = parts["SAMLRequest"].replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d")
    parts["SigAlg"] = parts["SigAlg"].replace("%3A", "%3a")


def self_made_hmac(parts: Parts) -> None:
    parts["SigAlg"] = quote("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", safe="")


def dtd(raw: bytes) -> bytes:
    return b'<!DOCTYPE r [<!ENTITY e "bob@acme.test">]>' + raw.replace(b">bob@acme.test<", b">&e;<")


SIGNATURES: dict[str, dict[str, Any]] = {
    "none": {"algorithm": None},
    "stripped": {"bend": without("Signature")},
    "its algorithm stripped": {"bend": without("SigAlg")},
    "both stripped": {"bend": without("SigAlg", "Signature")},
    "of another key": {"key": "stranger"},
    "flipped": {"signature": lambda raw: bytes([raw[0] ^ 1]) + raw[1:]},
    "cut": {"signature": lambda raw: raw[:-1]},
    "of one byte": {"signature": lambda raw: b"\0"},
    "longer": {"signature": lambda raw: b"\0" + raw},
    "with SHA-1": {"algorithm": RSA_SHA1, "hash": "sha1"},
    "with SHA-1 under another name": {"hash": "sha1"},
    "SHA-256 by the name of SHA-512": {"algorithm": f"{DSIG_MORE}rsa-sha512", "hash": "sha256"},
    "renamed behind": {"bend": with_parts(SigAlg=quote(f"{DSIG_MORE}rsa-sha512", safe=""))},
    "of an elliptic curve by name": {"algorithm": f"{DSIG_MORE}ecdsa-sha256"},
    "of an elliptic curve": {"key": "ec", "algorithm": f"{DSIG_MORE}ecdsa-sha256"},
    "a HMAC by name": {"bend": self_made_hmac},
    "an empty algorithm": {"bend": with_parts(SigAlg="")},
    "an algorithm that is none": {"bend": with_parts(SigAlg="rsa-sha256")},
    "of another person's request": {
        "bend": message_in_place(lambda raw: raw.replace(b"bob@acme.test", b"carol@acme.test"))
    },
    "of an older request": {"bend": message_in_place(lambda raw: raw.replace(b' ID="_', b' ID="_n'))},
    "of other escapes": {"bend": escapes_in_lower_case},
    "without its RelayState": {"relay_state": "x", "bend": without("RelayState")},
    "with another RelayState": {"relay_state": "x", "bend": with_parts(RelayState="https%3A%2F%2Felsewhere.test")},
    "with a RelayState added": {"bend": with_parts(RelayState="x")},
    "with an empty RelayState added": {"bend": with_parts(RelayState="")},
}
