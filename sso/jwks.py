"""The keys that providers sign with: fetched from the one address in the settings, kept, and fetched again when due.

The cache is this process's own. Whatever is asked of it costs few requests: keys are refreshed each hour, a key that is
not among them makes at most one further request a minute, and a provider that is down is asked every ten seconds.
"""

import logging
import math
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from rest_framework import status

from spatialflow.errors import ApiError
from sso.outbound import ProvidersBusy, ProviderUnavailable, fetch, place_to_wait

logger = logging.getLogger(__name__)

FRESH_SECONDS = 3600
STALE_SECONDS = 24 * 3600  # how long known keys go on while the provider does not answer
UNKNOWN_KEY_PAUSE_SECONDS = 60
FAILURE_PAUSE_SECONDS = 10
WAIT_SECONDS = 5  # for a request that another thread has under way
MIN_KEY_BITS = 2048
MAX_KEYS = 50


class KeysUnavailable(ApiError):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The sign-in provider cannot be asked for its keys at the moment; try again in ten seconds."
    default_code = "provider_unavailable"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(FAILURE_PAUSE_SECONDS)})


class KeySet:
    """The keys at one address, and when it was asked. Times are of the monotonic clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._keys: Mapping[str, RSAPublicKey] = {}
        self._fetched_at = -math.inf
        self._failed_at = -math.inf
        self._unknown_at = -math.inf  # when the provider last answered whether it has a key that was not there
        self._fetching = threading.Lock()

    def find(self, kid: str) -> RSAPublicKey | None:
        """Return the key of that id, or None where the provider has none. Raises `KeysUnavailable`, and `ProvidersBusy`
        where it takes a wait.
        """
        if self._age() > STALE_SECONDS:
            with place_to_wait():
                self._refresh(WAIT_SECONDS)
        elif self._age() > FRESH_SECONDS:
            with suppress(ProvidersBusy), place_to_wait():
                self._refresh(0)
        if self._age() > STALE_SECONDS:
            raise KeysUnavailable()
        if kid not in self._keys:
            with place_to_wait():
                self._ask_about_unknown_key()
        return self._keys.get(kid)

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _ask_about_unknown_key(self) -> None:
        """Look whether the provider has changed its keys, at most once a minute, however many unknown ones come.

        Raises `KeysUnavailable` where it does not say: only its answer makes a key unknown, and no failure lasts longer
        than FAILURE_PAUSE_SECONDS.
        """
        seen = self._fetched_at
        if not self._fetching.acquire(timeout=WAIT_SECONDS):
            raise KeysUnavailable()
        try:
            is_asked_already = self._fetched_at != seen  # while this thread waited
            if is_asked_already or time.monotonic() - self._unknown_at < UNKNOWN_KEY_PAUSE_SECONDS:
                return
            if self._has_just_failed() or not self._fetch():
                raise KeysUnavailable()
            self._unknown_at = time.monotonic()
        finally:
            self._fetching.release()

    def _has_just_failed(self) -> bool:
        return time.monotonic() - self._failed_at < FAILURE_PAUSE_SECONDS

    def _refresh(self, patience: float) -> None:
        """Fetch keys that are due. While others can go on with the ones there are, nobody waits for the request of
        another thread.
        """
        seen = self._fetched_at
        if not self._fetching.acquire(timeout=patience):
            return
        try:
            if self._fetched_at == seen and not self._has_just_failed():
                self._fetch()
        finally:
            self._fetching.release()

    def _fetch(self) -> bool:
        """Ask the provider, and return whether it has said its keys."""
        try:
            self._keys = _read(self.url)
            self._fetched_at = time.monotonic()
        except ProviderUnavailable:
            self._failed_at = time.monotonic()
            logger.warning("the keys at %s cannot be had", self.url)
            return False
        return True


def _read(url: str) -> dict[str, RSAPublicKey]:
    """Return the RSA keys for signatures at an address, by id. Raises `ProviderUnavailable` where there is none."""
    answer = fetch("GET", url)
    document = answer.json() if answer.status == status.HTTP_200_OK else None
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = {}
    for entry in listed[:MAX_KEYS] if isinstance(listed, list) else []:
        key = _public_key(entry)
        if key is not None:
            keys[entry["kid"]] = key
    if not keys:
        raise ProviderUnavailable()
    return keys


def _public_key(entry: Any) -> RSAPublicKey | None:
    """Return a published key, or None for one of another kind or use."""
    if not isinstance(entry, dict) or entry.get("kty") != "RSA" or not isinstance(entry.get("kid"), str):
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    try:
        key = RSAAlgorithm.from_jwk({name: entry[name] for name in ("kty", "n", "e")})
    except (jwt.InvalidKeyError, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= MIN_KEY_BITS else None


_key_sets: dict[str, KeySet] = {}


def find_key(url: str, kid: str) -> RSAPublicKey | None:
    """Return a key that the provider publishes at `url`, or None where it has none of that id. Raises
    `KeysUnavailable`, `ProvidersBusy`.
    """
    return _key_sets.setdefault(url, KeySet(url)).find(kid)
