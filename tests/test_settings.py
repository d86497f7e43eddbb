"""The environment: what is refused is refused in a sentence that names the variable and quotes nothing secret."""

import hashlib
import os
import runpy
import subprocess
import sys
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import pre_migrate

from tests.support.launch import PROJECT

SECRETS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(4)]
PRODUCTION = {
    "SPATIALFLOW_ENV": "production",
    "PUBLIC_URL": "https://auth.example.com",
    "ALLOWED_HOSTS": "auth.example.com",
    "TRUSTED_PROXY_COUNT": "1",
    "DATABASE_URL": "postgresql://spatialflow:pa%2Fss@db.example.com:6432/accounts",
    "SECRET_KEY": SECRETS[0],
    "JWT_SIGNING_KEYS": f"first:{SECRETS[1]}",
    "ENCRYPTION_KEYS": f"first:{SECRETS[2]}",
}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """Call it with an environment for what settings.py makes of that and nothing else."""

    def read(environment: dict[str, str]) -> dict[str, Any]:
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, text in {"SPATIALFLOW_DATA_DIR": str(tmp_path), **environment}.items():
            monkeypatch.setenv(name, text)
        return runpy.run_path(str(PROJECT / "spatialflow/settings.py"))

    return read


def test_production_reads_what_it_is_given(read):
    settings = read(
        {
            **PRODUCTION,
            "JWT_SIGNING_KEYS": f"new:{SECRETS[1]}, old:{SECRETS[3]}",
            "SIGNUP_IS_OPEN": "false",
            "CORS_ALLOWED_ORIGINS": "https://app.example.com, https://app.example.com:8443",
            "REDIS_URL": "rediss://:pa%2Fss@redis.example.com:6380/1",
        }
    )

    assert list(settings["JWT_SIGNING_KEYS"].items()) == [("new", SECRETS[1]), ("old", SECRETS[3])]
    assert settings["ENCRYPTION_KEYS"] == {"first": SECRETS[2]}
    assert settings["SIGNUP_IS_OPEN"] is False
    assert settings["CORS_ALLOWED_ORIGINS"] == ["https://app.example.com", "https://app.example.com:8443"]
    assert settings["CACHES"]["counters"]["LOCATION"] == "rediss://:pa%2Fss@redis.example.com:6380/1"
    database = settings["DATABASES"]["default"]
    assert [database[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")] == [
        *("spatialflow", "pa/ss", "db.example.com", "6432", "accounts")
    ]


@pytest.mark.parametrize(
    ("url", "hosts", "ports"),
    [
        ("postgresql://u:pa%2Fss@one:5432,two:5433/accounts?target_session_attrs=read-write", "one,two", "5432,5433"),
        ("postgresql://u@one,two,[::1]/accounts?target_session_attrs=primary", "one,two,::1", ",,"),
        ("postgresql://u@/accounts?host=one,two&port=5432,5433", "one,two", "5432,5433"),
    ],
)
def test_a_database_may_have_several_hosts(read, url, hosts, ports):
    database = read({**PRODUCTION, "DATABASE_URL": url})["DATABASES"]["default"]

    assert (database["HOST"], database["PORT"], database["NAME"]) == (hosts, ports, "accounts")
    assert database["OPTIONS"]["target_session_attrs"] == (url.partition("attrs=")[2] or "read-write")


def test_development_needs_nothing_and_keeps_its_secrets(read):
    first, second = read({}), read({})

    for name in ("SECRET_KEY", "JWT_SIGNING_KEYS", "ENCRYPTION_KEYS"):
        assert first[name] == second[name]
    assert len({first["SECRET_KEY"], *first["JWT_SIGNING_KEYS"].values(), *first["ENCRYPTION_KEYS"].values()}) == 3
    assert (first["SIGNUP_IS_OPEN"], first["CORS_ALLOWED_ORIGINS"], first["REDIS_URL"]) == (True, [], "")
    assert first["EMAIL_BACKEND"].endswith("filebased.EmailBackend")
    assert read({"CORS_ALLOWED_ORIGINS": "http://localhost:3000"})["CORS_ALLOWED_ORIGINS"] == ["http://localhost:3000"]


def curve(name: type[ec.EllipticCurve] = ec.SECP256R1) -> str:
    key = ec.generate_private_key(name())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("newline", ["\n", "\\n"])
def test_a_signing_key_may_be_an_elliptic_curves(read, newline):
    pem = curve()

    settings = read({**PRODUCTION, "JWT_SIGNING_KEYS": f"old:{SECRETS[3]},new:{pem.replace(chr(10), newline)}"})

    assert list(settings["JWT_SIGNING_KEYS"].items()) == [("old", SECRETS[3]), ("new", pem)]


@pytest.mark.parametrize("gap", [" ", "\n", "\r\n\t"])
def test_blanks_around_an_id_and_a_key_belong_to_neither(read, gap):
    pem = curve()
    signing = f"old{gap}:{gap}{SECRETS[3]},{gap}new:{gap}{pem}"

    settings = read({**PRODUCTION, "JWT_SIGNING_KEYS": signing, "ENCRYPTION_KEYS": f"first :{gap}{SECRETS[2]}"})

    assert list(settings["JWT_SIGNING_KEYS"].items()) == [("old", SECRETS[3]), ("new", pem)]
    assert settings["ENCRYPTION_KEYS"] == {"first": SECRETS[2]}


WRONG_PEMS = [curve(ec.SECP384R1), curve()[:90], curve().replace("PRIVATE", "PUBLIC"), f'"{curve()}"']


@pytest.mark.parametrize("pem", WRONG_PEMS, ids=["another curve", "cut off", "public", "quoted"])
def test_only_a_private_key_of_the_right_curve_signs(read, pem):
    with pytest.raises(ImproperlyConfigured, match=r"^JWT_SIGNING_KEYS must be the whole content") as refusal:
        read({**PRODUCTION, "JWT_SIGNING_KEYS": f"first:{pem}"})

    assert pem.splitlines()[1] not in str(refusal.value)


def test_tiles_of_a_map_come_from_one_origin(read):
    tiles = "https://tiles.example.com:8443/{z}/{x}/{y}.png?style=light"

    settings = read({"MAP_TILE_URL": tiles})

    assert settings["MAP_TILE_URL"] == tiles
    images = settings["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]["img-src"]
    assert images == ["'self'", "data:", "https://tiles.example.com:8443"]
    assert read({})["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]["img-src"] == ["'self'", "data:"]


@pytest.mark.parametrize(
    "tiles",
    [
        "https://tiles.example.com/{z}/{x}.png",
        "https://{s}.tiles.example.com/{z}/{x}/{y}.png",
        "http://tiles.example.com/{z}/{x}/{y}.png",
        "https://tiles.example.com;script-src/{z}/{x}/{y}.png",
    ],
)
def test_tiles_from_elsewhere_are_refused(read, tiles):
    with pytest.raises(ImproperlyConfigured, match="MAP_TILE_URL must"):
        read({"MAP_TILE_URL": tiles})


@pytest.mark.parametrize("name", sorted(PRODUCTION.keys() - {"SPATIALFLOW_ENV", "TRUSTED_PROXY_COUNT"}))
def test_production_needs_each(read, name):
    with pytest.raises(ImproperlyConfigured, match=f"^{name}"):
        read({**PRODUCTION, name: ""})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "a" * 64),
        *(("SECRET_KEY", f"{word}{SECRETS[3]}") for word in ("My-Secret", "CHANGEME", "change-me", "django-insecure-")),
        *(("SECRET_KEY", f"{word}{SECRETS[3]}") for word in ("example", "Password", "default", "abcdefgh", "12345678")),
        ("SECRET_KEY_FALLBACKS", "short"),
        ("SECRET_KEY_FALLBACKS", f"{SECRETS[3]},changeme{SECRETS[3]}"),
        ("SECRET_KEY_FALLBACKS", SECRETS[0]),
        ("JWT_SIGNING_KEYS", SECRETS[3]),
        ("JWT_SIGNING_KEYS", f":{SECRETS[3]}"),
        ("JWT_SIGNING_KEYS", "first:short"),
        ("JWT_SIGNING_KEYS", f"first:secret{SECRETS[3]}"),
        ("JWT_SIGNING_KEYS", f"first:{SECRETS[0]}"),
        ("JWT_SIGNING_KEYS", f"first:{SECRETS[1]},first:{SECRETS[3]}"),
        ("JWT_SIGNING_KEYS", f"first:{SECRETS[1][:32]}\n{SECRETS[3]}"),
        ("JWT_SIGNING_KEYS", f"first:{SECRETS[1]}\udcff"),  # bytes that are no UTF-8
        ("JWT_SIGNING_KEYS", f"first:ssh-ed25519 {SECRETS[1]}"),
        ("ENCRYPTION_KEYS", f"first:{SECRETS[0]}"),
        ("ENCRYPTION_KEYS", f"first:{SECRETS[1]}"),
        ("ENCRYPTION_KEYS", f"first:{SECRETS[2][:32]}\n{SECRETS[3]}"),
        ("ENCRYPTION_KEYS", f"first:{SECRETS[2]},first:{SECRETS[3]}"),
        ("ALLOWED_HOSTS", ".example.com"),
        ("ALLOWED_HOSTS", "https://auth.example.com"),
        ("ALLOWED_HOSTS", "auth.example.com/"),
        ("ALLOWED_HOSTS", "auth.example.com:443"),
        ("ALLOWED_HOSTS", "auth.example.com,*.example.com"),
        ("ALLOWED_HOSTS", "*"),
        ("PUBLIC_URL", "http://auth.example.com"),
        ("PUBLIC_URL", "https://"),
        ("PUBLIC_URL", "https:///path"),
        ("PUBLIC_URL", "https://:443"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "null"),
        ("CORS_ALLOWED_ORIGINS", "http://localhost:3000"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com/"),
        ("CORS_ALLOWED_ORIGINS", "https://*.example.com"),
        ("SIGNUP_IS_OPEN", "perhaps"),
    ],
)
def test_production_refuses_by_name_and_quotes_no_secret(read, name, text):
    with pytest.raises(ImproperlyConfigured, match=f"^{name}") as refusal:
        read({**PRODUCTION, name: text})

    assert not [secret for secret in SECRETS if secret in str(refusal.value)]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://u:hidden/ss@h/x"),
        ("DATABASE_URL", "postgresql://u:12/hidden@h/x"),
        ("DATABASE_URL", "postgresql://u:12?hidden@h/x"),
        ("DATABASE_URL", "postgresql://u:12#hidden@h/x"),
        ("DATABASE_URL", "postgresql://u:hidden[@h/x"),
        ("DATABASE_URL", "postgresql://u:hidden@h:99999/x"),
        ("DATABASE_URL", "postgresql://u:hidden@h:port/x"),
        ("DATABASE_URL", "postgresql://u:hidden@h:1,h:99999/x"),
        ("DATABASE_URL", "mysql://u:hidden@h/x"),
        ("REDIS_URL", "hidden"),
        ("REDIS_URL", "redis:hidden"),
        ("REDIS_URL", "http://u:hidden@h"),
        ("REDIS_URL", "redis://u:hidden@h:port"),
        ("REDIS_URL", "redis://u:hidden@h:0"),
        ("REDIS_URL", "redis+cluster://u:hidden@h:1,h:2"),
        ("EMAIL_URL", "hidden"),
        ("EMAIL_URL", "smtp://u:hidden/@h:587"),
    ],
)
def test_a_url_that_cannot_be_read_is_named_and_not_quoted(read, name, url):
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} .*percent-encoded") as refusal:
        read({**PRODUCTION, name: url})

    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password", "use_tls", "use_ssl"),
    [
        ("", "localhost", 25, "", "", False, False),
        ("smtp://mail.example.com", "mail.example.com", 25, "", "", False, False),
        ("smtp://mail.example.com:587", "mail.example.com", 587, "", "", True, False),
        (
            "smtp://me%40example.com:pa%2Fss@mail.example.com:587",
            *("mail.example.com", 587),
            *("me@example.com", "pa/ss"),
            *(True, False),
        ),
        ("smtp://me:pass@mail.example.com:2525", "mail.example.com", 2525, "me", "pass", True, False),
        ("smtps://me:pass@mail.example.com", "mail.example.com", 465, "me", "pass", False, True),
    ],
)
def test_the_mail_servers_url_is_taken_apart(read, url, host, port, user, password, use_tls, use_ssl):
    settings = read({**PRODUCTION, "EMAIL_URL": url})

    names = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL", "TIMEOUT")
    assert tuple(settings[f"EMAIL_{name}"] for name in names) == (host, port, user, password, use_tls, use_ssl, 10)
    assert settings["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend"


@pytest.mark.parametrize(
    "command", [["manage.py", "check"], ["manage.py", "run"], ["-c", "import spatialflow.wsgi"]], ids=" ".join
)
def test_a_missing_setting_is_one_line_and_no_traceback(command):
    environment = {name: os.environ[name] for name in ("PATH",)} | {**PRODUCTION, "SECRET_KEY": ""}
    done = subprocess.run(
        [sys.executable, *command], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("SECRET_KEY: ") and len(done.stderr.splitlines()) == 1


def test_a_statement_has_five_seconds_and_a_migration_its_time(db):
    def timeout(**kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            seen.append(cursor.fetchone()[0])

    seen: list[str] = []
    timeout()
    pre_migrate.connect(timeout)
    try:
        call_command("migrate", verbosity=0)
    finally:
        pre_migrate.disconnect(timeout)
    timeout()

    assert (seen[0], set(seen[1:-1]), seen[-1]) == ("5s", {"0"}, "5s")


def test_a_vanished_database_host_is_noticed(read):
    options = read({**PRODUCTION, "DATABASE_URL": "postgresql://h/x?sslmode=require&options=-c work_mem=8MB"})
    options = options["DATABASES"]["counters"]["OPTIONS"]

    assert (options.pop("server_side_binding"), options.pop("prepare_threshold")) == (True, 2)  # Django's and psycopg's
    assert psycopg.conninfo.conninfo_to_dict(psycopg.conninfo.make_conninfo(**options)) == {
        "connect_timeout": "5",
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "2",
        "tcp_user_timeout": "5000",
        "target_session_attrs": "read-write",
        "sslmode": "require",
        "options": "-c statement_timeout=5000 -c timezone=UTC -c work_mem=8MB -c synchronous_commit=off",
    }
