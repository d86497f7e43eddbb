"""Every setting of the service, and the only reader of the environment.

Readers on top, flat names below. README.md's table lists each variable read here; a test compares the two.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from spatialflow import localdb

BASE_DIR = Path(__file__).resolve().parent.parent
HOST_NAME = r"([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])"
PLACEHOLDER = re.compile(r"secret|change.?me|insecure|example|password|default|abcdefgh|12345678", re.IGNORECASE)


def env_text(name: str, default: str = "") -> str:
    """Return the variable's text, or the content of the file that NAME_FILE points to (the container secrets
    convention).
    """
    if file_name := os.environ.get(f"{name}_FILE"):
        try:
            return Path(file_name).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error.strerror}.") from None
    return os.environ.get(name, default).strip()


def env_int(name: str, default: int, *, minimum: int = 0, maximum: int = 2**31) -> int:
    text = env_text(name, str(default))
    if not text.isascii() or not text.isdigit() or not minimum <= int(text) <= maximum:
        raise ImproperlyConfigured(f"{name} must be a whole number from {minimum} to {maximum}.")
    return int(text)


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env_text(name, default).split(",") if item.strip()]


def env_choice(name: str, choices: tuple[str, ...]) -> str:
    """Return one of `choices`; the first is the default."""
    text = env_text(name, choices[0])
    if text not in choices:
        raise ImproperlyConfigured(f"{name} must be one of: {', '.join(choices)}.")
    return text


def env_bool(name: str, default: bool) -> bool:
    text = env_text(name, str(default)).lower()
    if text not in ("true", "false"):
        raise ImproperlyConfigured(f"{name} must be true or false.")
    return text == "true"


def env_secret(name: str) -> str:
    """Return a secret. In production it must be given; in development it is derived from var/development-secret."""
    value = env_text(name)
    if not value and not PRODUCTION:
        return hmac.new(_development_secret(), name.encode(), hashlib.sha256).hexdigest()
    return random_enough(name, value)


def env_keys(name: str) -> dict[str, str]:
    """Return key id -> secret, in the order given: new work uses the first, the others serve what they once made."""
    if not env_text(name) and not PRODUCTION:
        return {"development": env_secret(name)}
    pairs = [item.partition(":")[::2] for item in env_list(name)]
    keys = {key_id: random_enough(name, secret) for key_id, secret in pairs if key_id}
    if not keys or len(keys) < len(pairs):
        raise ImproperlyConfigured(
            f"{name} must be `id:secret`, several separated by commas, each id once. "
            "Make a secret with: openssl rand -hex 32"
        )
    return keys


def random_enough(name: str, secret: str) -> str:
    """Return the secret. Raises ImproperlyConfigured for one that somebody could guess."""
    if len(secret) < 32 or len(set(secret)) < 10 or PLACEHOLDER.search(secret):
        raise ImproperlyConfigured(
            f"{name}: a secret is missing, shorter than 32 characters or not random. "
            "Make one with: openssl rand -hex 32"
        )
    return secret


def refuse_shared_secrets(**groups: Iterable[str]) -> None:
    """Raise ImproperlyConfigured where two variables hold one secret: whoever learns one must not have the other."""
    holders: dict[str, str] = {}
    for name, group in groups.items():
        for secret in group:
            if holders.setdefault(secret, name) != name:
                raise ImproperlyConfigured(
                    f"{name} holds a secret of {holders[secret]}: each needs secrets of its own."
                )


def env_origins(name: str) -> list[str]:
    """Return web origins as browsers send them: nothing behind the host, no wildcard; http only in development."""
    form = rf"https://{HOST_NAME}(:\d+)?" + ("" if PRODUCTION else r"|http://localhost(:\d+)?")
    origins = env_list(name)
    if not all(re.fullmatch(form, origin) for origin in origins):
        raise ImproperlyConfigured(
            f"{name} must list exact origins in lower case, separated by commas, for instance https://app.example.com"
        )
    return origins


def env_url(name: str, schemes: tuple[str, ...], default: str = "") -> SplitResult:
    """Return the URL's parts. What is wrong with it is never quoted: it may hold a password."""
    text = env_text(name) or default
    try:
        parts = urlsplit(text)
        is_usable = parts.port != 0 and not parts.fragment and "@" not in parts.path + parts.query
    except ValueError:
        is_usable = False
    if not is_usable or not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ImproperlyConfigured(
            f"{name} must be a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}; special "
            "characters in its password must be percent-encoded (/ is %2F, @ is %40)."
        )
    return parts


def _development_secret() -> bytes:
    """Return this checkout's own secret, made on first use, so that restarts keep tokens and sessions valid."""
    path = DATA_DIR / "development-secret"
    try:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
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
            f"{path} cannot be made or read ({error.strerror}): name a folder of your own with SPATIALFLOW_DATA_DIR."
        ) from None


def database(parts: SplitResult) -> dict[str, object]:
    """Return Django's settings for a postgresql:// URL; its query may hold any option of libpq.

    A statement gets 5 seconds, in every process: `migrate` lifts that for itself, and so must whatever else is to run
    longer (SET statement_timeout). A connection over TCP whose host vanished ends after about 10 seconds; Unix sockets
    ignore those options.
    """
    options: dict[str, object] = dict(parse_qsl(parts.query))
    ours = {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 5000,  # milliseconds
        # Let Postgres bind and prepare: planning the hot statements anew costs it more than running them.
        "server_side_binding": True,
        "prepare_threshold": 2,
    }
    session = f"-c statement_timeout=5000 -c timezone=UTC {options.pop('options', '')}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "spatialflow",
        "USER": unquote(parts.username or "") or options.pop("user", ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": False,
        "OPTIONS": {**ours, **options, "options": session},
    }


# --- Where this runs
PRODUCTION = env_choice("SPATIALFLOW_ENV", ("development", "production")) == "production"
DATA_DIR = Path(env_text("SPATIALFLOW_DATA_DIR") or BASE_DIR / "var").resolve()
PORT = env_int("PORT", 8000, minimum=1, maximum=65535)
WORKERS = env_int("WEB_CONCURRENCY", 2, minimum=1, maximum=256)
BLOCKING_THREADS = env_int("BLOCKING_THREADS", 4, minimum=1, maximum=256)
PUBLIC_URL = env_text("PUBLIC_URL", "" if PRODUCTION else f"http://localhost:{PORT}").rstrip("/")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "" if PRODUCTION else "localhost,127.0.0.1,[::1]")
TRUSTED_PROXY_COUNT = env_int("TRUSTED_PROXY_COUNT", 0, maximum=10)
if PRODUCTION and not re.fullmatch(rf"https://{HOST_NAME}(:\d+)?", PUBLIC_URL, re.IGNORECASE):
    raise ImproperlyConfigured(
        "PUBLIC_URL must be the https:// address that people use, for instance https://auth.example.com"
    )
if PRODUCTION and not (ALLOWED_HOSTS and all(re.fullmatch(HOST_NAME, host, re.IGNORECASE) for host in ALLOWED_HOSTS)):
    raise ImproperlyConfigured("ALLOWED_HOSTS must list the exact host names that are served, separated by commas.")

CORS_ALLOWED_ORIGINS = env_origins("CORS_ALLOWED_ORIGINS")

# --- Secrets
SECRET_KEY = env_secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = [random_enough("SECRET_KEY_FALLBACKS", key) for key in env_list("SECRET_KEY_FALLBACKS")]
JWT_SIGNING_KEYS = env_keys("JWT_SIGNING_KEYS")
ENCRYPTION_KEYS = env_keys("ENCRYPTION_KEYS")
refuse_shared_secrets(
    SECRET_KEY=[SECRET_KEY],
    SECRET_KEY_FALLBACKS=SECRET_KEY_FALLBACKS,
    JWT_SIGNING_KEYS=JWT_SIGNING_KEYS.values(),
    ENCRYPTION_KEYS=ENCRYPTION_KEYS.values(),
)

# --- Django
DEBUG = False
ROOT_URLCONF = "spatialflow.urls"
WSGI_APPLICATION = "spatialflow.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "spatialflow",
    "accounts",
    "apikeys",
    "geofences",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.common.CommonMiddleware",  # refuses foreign Host headers
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "spatialflow.api.SlashlessPathMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # files are served from the packages they come in; no collecting step
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- Database: `counters` is the same database on a connection of its own, so that a counter is written at once
# whatever the request's transaction does, and without waiting for the disk (losing the last milliseconds of counts is
# acceptable).
DATABASE_URL = env_text("DATABASE_URL")
if PRODUCTION and not DATABASE_URL:
    raise ImproperlyConfigured(
        "DATABASE_URL must be set, for instance postgresql://user:password@host:5432/spatialflow"
    )
_local_url = localdb.database_url(localdb.socket_directory(DATA_DIR))
_database = env_url("DATABASE_URL", ("postgresql", "postgres"), _local_url)
DATABASES = {"default": database(_database), "counters": database(_database)}
DATABASES["counters"]["OPTIONS"]["options"] += " -c synchronous_commit=off"  # type: ignore[index]
DATABASES["counters"]["TEST"] = {"MIRROR": "default"}

# --- Counters for the limits, in Redis when there is one, else in Postgres
REDIS_URL = env_text("REDIS_URL") and env_url("REDIS_URL", ("redis", "rediss", "unix")).geturl()
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "counters": {
        "BACKEND": f"spatialflow.counters.{'Redis' if REDIS_URL else 'Postgres'}Counters",
        "LOCATION": REDIS_URL,
    },
}
RATELIMIT_USE_CACHE = "counters"
SILENCED_SYSTEM_CHECKS = [
    "django_ratelimit.W001",  # it knows only foreign backends; that ours count exactly is shown by tests/test_limits.py
    "django_ratelimit.E003",
    "security.W003",  # no page is authenticated by a cookie; the refresh cookie is SameSite=Strict
    "security.W008",  # the proxy redirects to https; see SECURE_SSL_REDIRECT
]

# --- Passwords
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["accounts.passwords.Argon2idPasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "accounts.passwords.LengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.passwords.PersonalDataValidator"},
]

# --- Tokens (RFC 7519)
JWT_ALGORITHM = "HS256"
JWT_ISSUER = env_text("JWT_ISSUER") or PUBLIC_URL
JWT_AUDIENCE = env_text("JWT_AUDIENCE", "spatialflow-api")
ACCESS_TOKEN_LIFETIME = timedelta(seconds=env_int("ACCESS_TOKEN_LIFETIME", 4 * 3600, minimum=300, maximum=86400))
REFRESH_TOKEN_LIFETIME = timedelta(
    seconds=env_int("REFRESH_TOKEN_LIFETIME", 30 * 86400, minimum=3600, maximum=30 * 86400)
)
REFRESH_GRACE_LIFETIME = timedelta(seconds=10)
SIMPLE_JWT = {"TOKEN_TYPE_CLAIM": "typ", "USER_ID_CLAIM": "sub", "LEEWAY": 0}

# --- Limits: requests an hour and credential, by the workspace's plan; what stands in accounts/throttles.py are the
# fixed ones.
PLAN_LIMITS = {"free": 1_000, "pro": 2_000, "team": 5_000, "business": 10_000, "enterprise": 20_000}
SIGNUP_IS_OPEN = env_bool("SIGNUP_IS_OPEN", True)
MAX_API_KEYS_PER_WORKSPACE = env_int("MAX_API_KEYS_PER_WORKSPACE", 200, minimum=1, maximum=100_000)

# --- HTTP headers and cookies
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_SSL_REDIRECT = (
    False  # the proxy redirects; an API that answers http with a redirect teaches clients to send keys there
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- The API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apikeys.authentication.ApiKeyAuthentication",
        "accounts.authentication.JWTAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttles.GeneralThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["spatialflow.strict_json.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["spatialflow.strict_json.JSONParser"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "accounts.openapi.OperationSchema",
    "EXCEPTION_HANDLER": "spatialflow.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": TRUSTED_PROXY_COUNT,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "SpatialFlow API",
    "VERSION": "1.0.0",
    "DESCRIPTION": "Sign-in, API keys and geofences. Every path answers with and without its trailing slash.",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVERS": [{"url": "/"}],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
            "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        }
    },
    "POSTPROCESSING_HOOKS": ["accounts.openapi.sort_responses"],
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
}

# --- Mail
DEFAULT_FROM_EMAIL = env_text("DEFAULT_FROM_EMAIL", "SpatialFlow <no-reply@localhost>")
_mail = env_url("EMAIL_URL", ("smtp", "smtps"), "smtp://localhost")
_goes_out = PRODUCTION or env_text("EMAIL_URL") != ""
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if _goes_out else 'filebased'}.EmailBackend"
EMAIL_FILE_PATH = str(DATA_DIR / "mail")
EMAIL_HOST = unquote(_mail.hostname or "localhost")
EMAIL_USE_SSL = _mail.scheme == "smtps"
EMAIL_PORT = _mail.port or (465 if EMAIL_USE_SSL else 25)
EMAIL_HOST_USER = unquote(_mail.username or "")
EMAIL_HOST_PASSWORD = unquote(_mail.password or "")
EMAIL_USE_TLS = not EMAIL_USE_SSL and (EMAIL_PORT == 587 or EMAIL_HOST_USER != "")  # no password goes in the clear
EMAIL_TIMEOUT = 10

# --- Logs: one line an event, on stderr; nothing that authenticates is ever in one (spatialflow/log.py).
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "brief": {"()": "spatialflow.log.RefusalsOnOneLine"},
        "redact": {"()": "spatialflow.log.RedactSecrets"},
    },
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["brief", "redact"]}},
    "root": {"handlers": ["stderr"], "level": env_choice("LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR"))},
    "loggers": {
        "django.db.backends": {"level": "INFO"},
        "django.request": {"level": "ERROR"},  # what a client did wrong it was told; the proxy logs every status
    },
}
