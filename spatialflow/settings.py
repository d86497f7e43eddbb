"""Every setting of the service, and the only reader of the environment.

Readers on top, flat names below. README.md's table lists each variable read here; a test compares the two.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from spatialflow import localdb

BASE_DIR = Path(__file__).resolve().parent.parent


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


def env_secret(name: str, *, minimum_length: int = 32) -> str:
    """Return a secret. In production it must be given; in development it is derived from var/development-secret."""
    value = env_text(name)
    if not value and not PRODUCTION:
        return hmac.new(_development_secret(), name.encode(), hashlib.sha256).hexdigest()
    if len(value) < minimum_length:
        raise ImproperlyConfigured(
            f"{name} must be set to at least {minimum_length} random characters. Make one with: openssl rand -hex 32"
        )
    if len(set(value)) < 10:
        raise ImproperlyConfigured(f"{name} is not random. Make one with: openssl rand -hex 32")
    return value


def env_jwt_keys(name: str) -> dict[str, str]:
    """Return key id -> secret; the first signs, all of them verify. The form is `id:secret,older-id:older-secret`."""
    if not env_text(name) and not PRODUCTION:
        return {"development": env_secret(name)}
    keys = dict(item.partition(":")[::2] for item in env_list(name))
    if not keys or any(not key_id or len(set(key)) < 10 or len(key) < 32 for key_id, key in keys.items()):
        raise ImproperlyConfigured(
            f"{name} must be `id:secret`, several separated by commas (the first signs, all verify), "
            "each secret at least 32 random characters. Make one with: openssl rand -hex 32"
        )
    return keys


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


def database(url: str) -> dict[str, object]:
    """Return Django's settings for a postgresql:// URL, or for the local Postgres when the URL is empty."""
    parts = urlsplit(url or localdb.database_url(localdb.socket_directory(DATA_DIR)))
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://")
    options: dict[str, object] = dict(parse_qsl(parts.query))
    host = options.pop("host", unquote(parts.hostname or ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "spatialflow",
        "USER": unquote(parts.username or "") or options.pop("user", ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": False,
        "OPTIONS": {"connect_timeout": 5, "options": "-c statement_timeout=15000 -c timezone=UTC", **options},
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
if PRODUCTION and urlsplit(PUBLIC_URL).scheme != "https":
    raise ImproperlyConfigured(
        "PUBLIC_URL must be the https:// address that people use, for instance https://auth.example.com"
    )
if PRODUCTION and (not ALLOWED_HOSTS or any("*" in host for host in ALLOWED_HOSTS)):
    raise ImproperlyConfigured("ALLOWED_HOSTS must list the exact host names that are served, separated by commas.")

# --- Secrets
SECRET_KEY = env_secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS")
JWT_SIGNING_KEYS = env_jwt_keys("JWT_SIGNING_KEYS")

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
DATABASES = {"default": database(DATABASE_URL), "counters": database(DATABASE_URL)}
DATABASES["counters"]["OPTIONS"]["options"] += " -c synchronous_commit=off"  # type: ignore[index]
DATABASES["counters"]["TEST"] = {"MIRROR": "default"}

# --- Counters for the limits, in Redis when there is one, else in Postgres
REDIS_URL = env_text("REDIS_URL")
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
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttles.CredentialThrottle"],
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
    "SERVERS": [{"url": PUBLIC_URL}],
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
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend" if PRODUCTION else "django.core.mail.backends.filebased.EmailBackend"
)
EMAIL_FILE_PATH = str(DATA_DIR / "mail")

# --- Logs: one line an event, on stderr; nothing that authenticates is ever in one (spatialflow/log.py).
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "spatialflow.log.RedactSecrets"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["redact"]}},
    "root": {"handlers": ["stderr"], "level": env_choice("LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR"))},
    "loggers": {"django.db.backends": {"level": "INFO"}},
}
