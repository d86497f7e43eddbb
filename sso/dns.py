"""Asking the DNS for the TXT records of a name. What an answer proves is decided in sso/domain_proofs.py."""

import logging

import dns.exception
import dns.name
import dns.resolver
from django.conf import settings

logger = logging.getLogger(__name__)

LIFETIME = 5.0  # seconds for one question, with every repetition
REPEAT_AFTER = 2.0  # seconds; a lost packet is sent again within that time
MAX_UDP_BYTES = 1232  # passes every network in one piece; a longer answer comes by TCP


def find_texts(name: str) -> list[str] | None:
    """Return the TXT records of a name, none where it has none, or None where that cannot be known at this moment.

    Unknown is everything but an answer: silence, SERVFAIL, REFUSED, nonsense. The strings of one record are joined
    (RFC 7208 3.3). Neither search domains nor /etc/hosts have a part in it.
    """
    try:
        answer = _resolver().resolve(dns.name.from_text(f"{name}."), "TXT", lifetime=LIFETIME, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        logger.warning("no answer from the DNS for %s: %s", name, type(error).__name__)
        return None
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]


def _resolver() -> dns.resolver.Resolver:
    """Return a resolver without a memory: what was entered a moment ago is to be seen."""
    resolver = dns.resolver.Resolver(configure=settings.DNS_RESOLVER is None)
    if settings.DNS_RESOLVER is not None:
        address, resolver.port = settings.DNS_RESOLVER
        resolver.nameservers = [address]
    resolver.timeout = REPEAT_AFTER
    resolver.use_edns(0, 0, MAX_UDP_BYTES)
    return resolver
