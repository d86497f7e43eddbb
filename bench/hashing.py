"""What a login cannot go below: the check of one password."""

import statistics
import time

from argon2 import PasswordHasher

from bench.peers.fences import PASSWORD

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # as accounts/passwords.py


def bare_hash(seconds: float) -> float:
    """Return the median milliseconds of checking a right password, measured for that long."""
    hashed, took = HASHER.hash(PASSWORD), []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        begun = time.perf_counter()
        HASHER.verify(hashed, PASSWORD)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)
