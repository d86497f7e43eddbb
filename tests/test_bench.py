"""The benchmark, in short: it measures every kind of request, and all are answered. Figures are for `make bench`."""

import subprocess
import sys

from django.conf import settings

from bench.jobs import HEALTH, JWT, KEY, LOGIN, ONE_LOGIN, REFRESH


def test_the_benchmark_of_the_service_alone_prints_a_row_for_each_request():
    command = [sys.executable, "-m", "bench", "--peers", "--rounds", "1", "--seconds", "0.5", "--keys", "50"]

    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=240, check=False)

    for name in (HEALTH, KEY, JWT, REFRESH, LOGIN, ONE_LOGIN):
        assert f"| {name} | SpatialFlow |" in done.stdout, done.stderr
    assert "All answers were 2xx." in done.stdout
