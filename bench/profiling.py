"""`python -m bench.profiling`: where the CPU time of each kind of request goes, in one process and without a network.

The milliseconds are taken without a profiler and can be compared between versions; the profile only says where to look,
for it slows what calls much. bench/README.md keeps what it printed before and after.
"""

import json
import signal
import sys
from argparse import ArgumentParser

from bench.__main__ import end
from bench.servers import output
from bench.service import add_geofences, durable_database, production_settings, seed, service


def main() -> int:
    parser = ArgumentParser(prog="python -m bench.profiling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000, help="of each kind, in batches (%(default)s)")
    parser.add_argument("--lines", type=int, default=12, help="lines of each profile (%(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    with durable_database() as database:
        settings = production_settings(database.url)
        credentials = seed(settings, 1000)
        with service("SpatialFlow", database, settings, credentials, workers=1) as target:
            add_geofences(target.port, credentials["owner_key"])
        command = [sys.executable, "-m", "bench.profiled", str(options.requests), str(options.lines)]
        sys.stdout.write(output(command, settings, given=json.dumps(credentials)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
