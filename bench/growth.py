"""`python -m bench.growth`: whether requests stay as fast when the tables are large.

Two copies of one database, of which one grows, and two servers; rounds interleave them, so that what disturbs the
machine disturbs both.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from statistics import median
from urllib.parse import urlsplit

import psycopg

from bench import load
from bench.audit import append
from bench.jobs import KEY, REFRESH
from bench.report import Row
from bench.servers import Target
from bench.service import add_geofences, durable_database, production_settings, seed, service

ALLOWED = 1.15  # times the CPU of server and Postgres together, a request

GROW = {
    "keys": """
        INSERT INTO apikeys_apikey (id, name, description, prefix, digest, scopes, is_read_only, is_active, created_at,
            usage_count_at_rotation, created_by_id, workspace_id)
        SELECT gen_random_uuid(), 'Key ' || n, '', 'sf_grown', sha256(n::text::bytea), k.scopes, false, true, now(), 0,
            k.created_by_id, k.workspace_id
        FROM generate_series(1, %(count)s) n, (SELECT * FROM apikeys_apikey LIMIT 1) k""",
    "sign-ins": """
        INSERT INTO accounts_signin (id, method, current_jti, rotated_at, ip, user_agent, created_at, last_used_at,
            expires_at, revoked_reason, user_id, workspace_id)
        SELECT gen_random_uuid(), 'password', gen_random_uuid(), now(), '192.0.2.1', 'bench', now(), now(),
            now() + interval '30 days', '', u.id, w.id
        FROM generate_series(1, %(count)s) n
        JOIN (SELECT id, row_number() OVER () AS place, count(*) OVER () AS people FROM accounts_user) u
            ON u.place = n %% u.people + 1, (SELECT id FROM accounts_workspace LIMIT 1) w""",
    # No links of the chain, which nobody verifies here: an append looks at the head and at nothing before it. The ids
    # are UUIDv7, as those of accounts/models/audit.py.
    "events": """
        INSERT INTO accounts_auditevent (sequence, id, created_at, workspace_id, actor_id, action, resource_type,
            resource_id, description, http_method, path, status_code, actor_email, ip_address, user_agent, actor_salt,
            actor_digest, target_digest, hash)
        SELECT -n, (lpad(to_hex(floor((extract(epoch FROM now()) - n) * 1000)::bigint), 12, '0') || '7'
                || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
            now() - n * interval '1 second', gen_random_uuid(), gen_random_uuid(),
            'auth.signed_in', 'session', gen_random_uuid(), 'Signed in by password.', 'POST', '/api/v1/auth/login', 200,
            'person@bench.test', '192.0.2.1', 'bench', '\\x00'::bytea, sha256(n::text::bytea), sha256(n::text::bytea),
            sha256(n::text::bytea)
        FROM generate_series(1, %(count)s) n""",
}


def main() -> int:
    options = read_options()
    with durable_database() as database:
        small = production_settings(database.url)
        credentials = seed(small, 10_000)
        with service("small", database, small, credentials, workers=options.workers) as target:
            add_geofences(target.port, credentials["owner_key"])
        large = {**small, "DATABASE_URL": grow(database.url, options)}
        with (
            service("small", database, small, credentials, workers=options.workers) as first,
            service("large", database, large, credentials, workers=options.workers) as second,
        ):
            try:
                rows = measure([first, second], options)
            except load.LoadError as error:
                sys.stderr.write(f"{error}\n")
                return 1
        appended = [(append_rate(small), append_rate(large)) for _ in range(options.rounds)]
    return print_report(rows, appended, options)


def read_options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.growth", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keys", type=int, default=1_000_000, help="API keys in the large one (%(default)s)")
    parser.add_argument("--sign-ins", type=int, default=1_000_000, help="sign-ins in the large one (%(default)s)")
    parser.add_argument("--events", type=int, default=10_000_000, help="audit events in the large one (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="the table shows medians over them (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds before each measurement (%(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="keep-alive connections (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="server processes of each (%(default)s)")
    return parser.parse_args()


def grow(url: str, options: Namespace) -> str:
    """Copy the database, let the copy grow, and return its URL."""
    parts = urlsplit(url)
    large = parts._replace(path="/large").geturl()
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE large TEMPLATE {parts.path.lstrip('/')}")
    with psycopg.connect(large, autocommit=True) as connection:
        for name, statement in GROW.items():
            sys.stderr.write(f"adding {name}\n")
            connection.execute(statement, {"count": getattr(options, name.replace("-", "_"))})
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return large


def measure(targets: list[Target], options: Namespace) -> list[tuple[Row, Row]]:
    pairs = [
        (
            Row(targets[0], name, targets[0].jobs[name], options.connections),
            Row(targets[1], name, targets[1].jobs[name], options.connections),
        )
        for name in (KEY, REFRESH)
    ]
    for number in range(options.rounds):
        sys.stderr.write(f"round {number + 1} of {options.rounds}\n")
        for pair in pairs:
            for row in pair:
                row.measure(options)
    return pairs


def append_rate(settings: dict[str, str]) -> float:
    """Return the events a second that one writer appends."""
    return append(1, 3.0, settings)[0] / 3.0


def print_report(pairs: list[tuple[Row, Row]], appended: list[tuple[float, float]], options: Namespace) -> int:
    """Print what was measured; return 1 where the large tables cost more than allowed."""
    lines = ["| | small | large | large by small |", "|---|---:|---:|---:|"]
    ratios = []
    for small, large in pairs:
        costs = [median(map(sum, zip(row.server_cpu, row.database_cpu, strict=True))) for row in (small, large)]
        ratios.append(costs[1] / costs[0])
        rates = f"{small.rate():,.0f} | {large.rate():,.0f} | {large.rate() / small.rate():.2f}"
        lines.append(f"| {small.name}: req/s | {rates} |")
        cpu = f"{costs[0]:.2f} | {costs[1]:.2f} | {ratios[-1]:.2f}"
        lines.append(f"| {small.name}: CPU s / 1,000, server and Postgres | {cpu} |")
    appends = [median(rates) for rates in zip(*appended, strict=True)]
    shown = f"{appends[0]:,.0f} | {appends[1]:,.0f} | {appends[1] / appends[0]:.2f}"
    lines.append(f"| audit append, one writer: events/s | {shown} |")
    sys.stdout.write(
        f"Small: 10,000 keys, 2,000 sign-ins. Large: {options.keys:,} keys, {options.sign_ins:,} sign-ins and "
        f"{options.events:,} audit events more. Medians of {options.rounds} rounds, {os.cpu_count()} cores, load "
        f"average {os.getloadavg()[1]:.1f}.\n\n" + "\n".join(lines) + "\n"
    )
    return int(max(ratios) > ALLOWED or appends[0] / appends[1] > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
