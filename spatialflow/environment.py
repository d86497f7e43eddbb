"""Reading settings from environment variables, each with its rule; settings.py says which there are."""

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.exceptions import ImproperlyConfigured

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
SocketAddress = tuple[str, int]
HOST_NAME = r"([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])"
PLACEHOLDER = re.compile(r"secret|change.?me|insecure|example|password|default|abcdefgh|12345678", re.IGNORECASE)


class Environment:
    """The variables of this process. Every reader raises ImproperlyConfigured with one sentence that names the
    variable.
    """

    # Set by settings.py once it knows: the readers of secrets and origins are stricter in production.
    production = True
    data_dir = Path()

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str = "") -> str:
        """Return the variable's text, or the content of the file that NAME_FILE points to (the container secrets
        convention).
        """
        if file_name := self._variables.get(f"{name}_FILE"):
            try:
                return Path(file_name).read_text().strip()
            except OSError as error:
                raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error.strerror}.") from None
        return self._variables.get(name, default).strip()

    def int(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**31) -> int:
        text = self.text(name, str(default))
        if not text.isascii() or not text.isdigit() or not minimum <= int(text) <= maximum:
            raise ImproperlyConfigured(f"{name} must be a whole number from {minimum} to {maximum}.")
        return int(text)

    def csv(self, name: str, default: str = "") -> list[str]:
        return [item.strip() for item in self.text(name, default).split(",") if item.strip()]

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of `choices`; the first is the default."""
        text = self.text(name, choices[0])
        if text not in choices:
            raise ImproperlyConfigured(f"{name} must be one of: {', '.join(choices)}.")
        return text

    def bool(self, name: str, default: bool) -> bool:
        text = self.text(name, str(default)).lower()
        if text not in ("true", "false"):
            raise ImproperlyConfigured(f"{name} must be true or false.")
        return text == "true"

    def secret(self, name: str) -> str:
        """Return a secret. In production it must be given; in development it is derived from var/development-secret."""
        value = self.text(name)
        if not value and not self.production:
            return hmac.new(self._development_secret(), name.encode(), hashlib.sha256).hexdigest()
        return random_enough(name, value)

    def keys(self, name: str, checked: Callable[[str, str], str] | None = None) -> dict[str, str]:
        """Return key id -> secret, in order: new work uses the first, the others serve what they once made. Each is
        what `checked` makes of the variable's name and the secret, `random_enough` unless told.
        """
        if not self.text(name) and not self.production:
            return {"development": self.secret(name)}
        # Without the blanks around each: a file with a line for each key has some, and " -----BEGIN" is no secret.
        pairs = [[part.strip() for part in item.partition(":")[::2]] for item in self.csv(name)]
        keys = {key_id: (checked or random_enough)(name, secret) for key_id, secret in pairs if key_id}
        if not keys or len(keys) < len(pairs):
            raise ImproperlyConfigured(
                f"{name} must be `id:secret`, several separated by commas, each id once. "
                "Make a secret with: openssl rand -hex 32"
            )
        return keys

    def origins(self, name: str) -> list[str]:
        """Return web origins as browsers send them: nothing behind the host, no wildcard; http only in development."""
        form = rf"https://{HOST_NAME}(:\d+)?" + ("" if self.production else r"|http://localhost(:\d+)?")
        origins = self.csv(name)
        if not all(re.fullmatch(form, origin) for origin in origins):
            raise ImproperlyConfigured(
                f"{name} must list exact origins in lower case, separated by commas, for instance https://app.example.com"
            )
        return origins

    def url(self, name: str, schemes: tuple[str, ...], default: str = "") -> SplitResult:
        """Return the URL's parts; Postgres may have several hosts (`hosts_of`). What is wrong with it is never quoted:
        it may hold a password.
        """
        text = self.text(name) or default
        try:
            parts = urlsplit(text)
            ports = [host.port for host in hosts_of(parts)]
            is_usable = 0 not in ports and (len(ports) == 1 or "postgresql" in schemes)
            is_usable = is_usable and not parts.fragment and "@" not in parts.path + parts.query
        except ValueError:
            is_usable = False
        if not is_usable or not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ImproperlyConfigured(
                f"{name} must be a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}; special "
                "characters in its password must be percent-encoded (/ is %2F, @ is %40)."
            )
        return parts

    def endpoint(self, name: str, default: str) -> str:
        """Return the https address of another service; in development it may be http on this machine."""
        text = self.text(name) or default
        hosts = rf"https://{HOST_NAME}" + ("" if self.production else r"|http://(localhost|127\.0\.0\.1|\[::1\])")
        if not re.fullmatch(rf"({hosts})(:\d+)?(/[!-~]*)?", text):
            raise ImproperlyConfigured(f"{name} must be the https:// address of a service, its host in lower case.")
        return text

    def tiles(self, name: str) -> str:
        """Return the address of a map's tiles, with {z}, {x} and {y} behind one exact host, or nothing."""
        text = self.text(name)
        if not text:
            return ""
        self.endpoint(name, "")
        if not all(part in text for part in ("{z}", "{x}", "{y}")):
            raise ImproperlyConfigured(
                f"{name} must hold {{z}}, {{x}} and {{y}}, for instance https://tiles.example.com/{{z}}/{{x}}/{{y}}.png"
            )
        return text

    def address(self, name: str) -> SocketAddress | None:
        """Return IP address and port of a server on UDP or TCP, or nothing; the port is 53 unless given."""
        text = self.text(name)
        if not text:
            return None
        try:
            parts = urlsplit(f"//{text}")
            return str(ipaddress.ip_address(parts.hostname or "")), parts.port or 53
        except ValueError:
            raise ImproperlyConfigured(f"{name} must be an IP address, with or without :port.") from None

    def networks(self, name: str) -> list[IPNetwork]:
        """Return networks written like 10.1.0.0/16."""
        try:
            return [ipaddress.ip_network(text) for text in self.csv(name)]
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} must list networks like 10.1.0.0/16 or fd00::/8, separated by commas."
            ) from None

    def pem(self, name: str) -> str:
        """Return an elliptic curve's private key (P-256) as PEM, or nothing; a newline may be written as \\n."""
        text = self.text(name)
        return private_key(name, text) if text else ""

    def _development_secret(self) -> bytes:
        """Return this checkout's own secret, made on first use, so that restarts keep tokens and sessions valid."""
        path = self.data_dir / "development-secret"
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
                draft.touch(mode=0o600)
                draft.write_text(secrets.token_hex(32))
                with suppress(FileExistsError):
                    os.link(draft, path)  # atomic: of two processes starting at once, one wins and both read its secret
                draft.unlink()
            return path.read_bytes()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{path} cannot be made or read ({error.strerror}): name another folder with SPATIALFLOW_DATA_DIR."
            ) from None


def hosts_of(parts: SplitResult) -> list[SplitResult]:
    """Return each host of a URL like postgresql://user:password@host:5432,other:5432/name, with its port."""
    return [urlsplit(f"//{host}") for host in parts.netloc.rpartition("@")[2].split(",")]


def origin_of(url: str) -> list[str]:
    """Return the origin of a URL as a Content-Security-Policy lists it, or nothing of no URL."""
    parts = urlsplit(url)
    return [f"{parts.scheme}://{parts.netloc}"] if url else []


def private_key(name: str, text: str) -> str:
    """Return an elliptic curve's private key (P-256) as PEM. Raises ImproperlyConfigured for anything else."""
    text = text.replace("\\n", "\n").strip() + "\n"
    try:
        # A quote before it would be read over here, and elsewhere the text be no PEM.
        key = load_pem_private_key(text.encode(), password=None) if text.startswith("-----BEGIN") else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ImproperlyConfigured(
            f"{name} must be the whole content of a private key file for ES256, -----BEGIN PRIVATE KEY----- too."
        )
    return text


def random_enough(name: str, secret: str) -> str:
    """Return the secret. Raises ImproperlyConfigured for one that somebody could guess, or that is no line of text."""
    if len(secret) < 32 or len(set(secret)) < 10 or PLACEHOLDER.search(secret) or not secret.isprintable():
        raise ImproperlyConfigured(
            f"{name}: a secret is missing, shorter than 32 characters, not random or not one line of text. "
            "Make one with: openssl rand -hex 32"
        )
    return secret


def signing_key(name: str, key: str) -> str:
    """Return a secret, or a private key for ES256 in its place. Raises ImproperlyConfigured."""
    # Whatever looks like the content of a key file, quoted or damaged too, is no secret: HMAC refuses to sign with it.
    is_from_file = "-----" in key or key.startswith(("ssh-", "ecdsa-"))
    return private_key(name, key) if is_from_file else random_enough(name, key)


def refuse_shared_secrets(**groups: Iterable[str]) -> None:
    """Raise ImproperlyConfigured where two variables hold one secret: whoever learns one must not have the other."""
    holders: dict[str, str] = {}
    for name, group in groups.items():
        for secret in group:
            if holders.setdefault(secret, name) != name:
                raise ImproperlyConfigured(
                    f"{name} holds a secret of {holders[secret]}: each needs secrets of its own."
                )
