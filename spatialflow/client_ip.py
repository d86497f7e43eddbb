"""The caller's address, behind a known number of trusted proxies.

`X-Forwarded-For` counts only when TRUSTED_PROXY_COUNT says that a proxy of ours wrote its last entries; it is read
from the right, because everything further left came from the client and can be invented.
"""

import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def client_ip(request: HttpRequest | Request) -> str:
    """Return the caller's address in canonical text, or "0.0.0.0" where there is none (a Unix socket without a
    proxy).
    """
    claimed = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXY_COUNT:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if len(hops) >= settings.TRUSTED_PROXY_COUNT and hops[-settings.TRUSTED_PROXY_COUNT]:
            claimed = hops[-settings.TRUSTED_PROXY_COUNT]
    return _canonical(claimed)


@lru_cache(maxsize=4096)  # the same callers come again, and each request asks several times
def _canonical(claimed: str) -> str:
    try:
        address = ipaddress.ip_address(bare_address(claimed))
    except ValueError:
        return "0.0.0.0"  # noqa: S104 - a bucket of its own for the nameless, not a listening address
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def bare_address(hop: str) -> str:
    """Return a hop without what some proxies add: the port of "1.2.3.4:5678" and "[2001:db8::1]:443", and the zone of
    "fe80::1%eth0", which names an interface of theirs and which Postgres refuses.
    """
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    return hop.partition("%")[0]


def network(request: HttpRequest | Request) -> str:
    """Return what limits count by: the IPv4 address, or the IPv6 /64, since one customer line holds a whole /64."""
    return _network(client_ip(request))


@lru_cache(maxsize=4096)
def _network(canonical: str) -> str:
    address = ipaddress.ip_address(canonical)
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return canonical
