"""Every setting of the service, and the only reader of the environment.

How a variable is read stands in environment.py, what it is in README.md's table; a test compares that with the names
here.
"""

import os
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote

from django.core.exceptions import ImproperlyConfigured

from spatialflow import localdb
from spatialflow.environment import (
    HOST_NAME,
    Environment,
    hosts_of,
    origin_of,
    random_enough,
    refuse_shared_secrets,
    signing_key,
)

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)


def database(parts: SplitResult) -> dict[str, object]:
    """Return Django's settings for a postgresql:// URL; it may name several hosts, and its query any option of libpq.

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
        "target_session_attrs": "read-write",  # a standby can serve nothing: every request counts and is counted
        # Let Postgres bind and prepare: planning the hot statements anew costs it more than running them.
        "server_side_binding": True,
        "prepare_threshold": 2,
    }
    session = f"-c statement_timeout=5000 -c timezone=UTC {options.pop('options', '')}".strip()
    return {
        "ENGINE": "spatialflow.postgres",
        "NAME": unquote(parts.path.lstrip("/")) or "spatialflow",
        "USER": unquote(parts.username or "") or options.pop("user", ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", unquote(",".join(host.hostname or "" for host in hosts_of(parts)))),
        "PORT": options.pop("port", ",".join(str(host.port or "") for host in hosts_of(parts))),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": False,
        "OPTIONS": {**ours, **options, "options": session},
    }


# --- Where this runs
PRODUCTION = env.choice("SPATIALFLOW_ENV", ("development", "production")) == "production"
env.production = PRODUCTION
DATA_DIR = Path(env.text("SPATIALFLOW_DATA_DIR") or BASE_DIR / "var").resolve()
env.data_dir = DATA_DIR
PORT = env.int("PORT", 8000, minimum=1, maximum=65535)
WORKERS = env.int("WEB_CONCURRENCY", 2, minimum=1, maximum=256)
ADMIN_ENABLED = env.bool("ADMIN_ENABLED", False)
BLOCKING_THREADS = env.int("BLOCKING_THREADS", 4, minimum=1, maximum=256)
PUBLIC_URL = env.text("PUBLIC_URL", "" if PRODUCTION else f"http://localhost:{PORT}").rstrip("/")
ALLOWED_HOSTS = env.csv("ALLOWED_HOSTS", "" if PRODUCTION else "localhost,127.0.0.1,[::1]")
TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", 0, maximum=10)
if PRODUCTION and not re.fullmatch(rf"https://{HOST_NAME}(:\d+)?", PUBLIC_URL, re.IGNORECASE):
    raise ImproperlyConfigured(
        "PUBLIC_URL must be the https:// address that people use, for instance https://auth.example.com"
    )
if PRODUCTION and not (ALLOWED_HOSTS and all(re.fullmatch(HOST_NAME, host, re.IGNORECASE) for host in ALLOWED_HOSTS)):
    raise ImproperlyConfigured("ALLOWED_HOSTS must list the exact host names that are served, separated by commas.")

CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS")

# --- Secrets
SECRET_KEY = env.secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = [random_enough("SECRET_KEY_FALLBACKS", key) for key in env.csv("SECRET_KEY_FALLBACKS")]
JWT_SIGNING_KEYS = env.keys("JWT_SIGNING_KEYS", signing_key)
ENCRYPTION_KEYS = env.keys("ENCRYPTION_KEYS")
METRICS_TOKEN = env.text("METRICS_TOKEN") and random_enough("METRICS_TOKEN", env.text("METRICS_TOKEN"))
refuse_shared_secrets(
    SECRET_KEY=[SECRET_KEY],
    SECRET_KEY_FALLBACKS=SECRET_KEY_FALLBACKS,
    JWT_SIGNING_KEYS=JWT_SIGNING_KEYS.values(),
    ENCRYPTION_KEYS=ENCRYPTION_KEYS.values(),
    METRICS_TOKEN=[METRICS_TOKEN] if METRICS_TOKEN else [],
)

# --- Django
DEBUG = False
ROOT_URLCONF = "spatialflow.urls"
WSGI_APPLICATION = "spatialflow.wsgi.application"
STARTED_WITH_THE_SERVER = ["accounts.outbox.start_delivery_thread"]  # called once in each of its processes
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "social_django",
    "spatialflow",
    "accounts",
    "apikeys",
    "sso",
    "geofences",
    "dashboard",
    "django.contrib.admin.apps.SimpleAdminConfig",  # the operator's pages, dashboard/operator/
]
MIDDLEWARE = [
    "spatialflow.observation.ObservationMiddleware",  # outermost: it sees every answer
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "spatialflow.content_security.PolicyMiddleware",
    "spatialflow.observation.MetricsMiddleware",  # inside of what protects browsers, as static files are
    "spatialflow.cors.OriginMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",  # refuses foreign Host headers
    "dashboard.middleware.PageSessionMiddleware",
    "dashboard.middleware.PageCsrfMiddleware",
    "dashboard.middleware.PageMessageMiddleware",
    "spatialflow.api.SlashlessPathMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["dashboard.templatetags.forms"],
        },
    }
]
STATIC_URL = "/static/"
STORAGES = {"staticfiles": {"BACKEND": "spatialflow.static_files.ContentAddressedStorage"}}
WHITENOISE_USE_FINDERS = True  # files are served from the packages they come in; no collecting step
WHITENOISE_MAX_AGE = 365 * 86400  # a changed file has another address
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- Database: `counters` is the same database on a connection of its own, so that a counter is written at once
# whatever the request's transaction does, and without waiting for the disk (losing the last milliseconds of counts is
# acceptable).
DATABASE_URL = env.text("DATABASE_URL")
if PRODUCTION and not DATABASE_URL:
    raise ImproperlyConfigured(
        "DATABASE_URL must be set, for instance postgresql://user:password@host:5432/spatialflow"
    )
_local_url = localdb.database_url(localdb.socket_directory(DATA_DIR))
_database = env.url("DATABASE_URL", ("postgresql", "postgres"), _local_url)
DATABASES = {"default": database(_database), "counters": database(_database)}
DATABASES["counters"]["OPTIONS"]["options"] += " -c synchronous_commit=off"  # type: ignore[index]
DATABASES["counters"]["TEST"] = {"MIRROR": "default"}

# --- Counters for the limits, in Redis when there is one, else in Postgres
_redis = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
REDIS_URL = env.text("REDIS_URL") and env.url("REDIS_URL", _redis).geturl()
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "counters": {
        "BACKEND": f"spatialflow.counters.{'Redis' if REDIS_URL else 'Postgres'}Counters",
        "LOCATION": REDIS_URL,
    },
}
RATELIMIT_USE_CACHE = "counters"
SILENCED_SYSTEM_CHECKS = [
    "django_ratelimit.W001",  # that ours, unknown to it, count exactly is shown by tests/test_limits_at_once.py
    "django_ratelimit.E003",
    "admin.E402",  # the operator's pages know who is there by the dashboard's session (dashboard/operator/site.py)
    "admin.E408",
    "admin.E409",
    "admin.E410",
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
JWT_ISSUER = env.text("JWT_ISSUER") or PUBLIC_URL
JWT_AUDIENCE = env.text("JWT_AUDIENCE", "spatialflow-api")
ACCESS_TOKEN_LIFETIME = timedelta(seconds=env.int("ACCESS_TOKEN_LIFETIME", 4 * 3600, minimum=300, maximum=86400))
REFRESH_TOKEN_LIFETIME = timedelta(
    seconds=env.int("REFRESH_TOKEN_LIFETIME", 30 * 86400, minimum=3600, maximum=30 * 86400)
)
REFRESH_GRACE_LIFETIME = timedelta(seconds=10)
DASHBOARD_LIFETIME = env.int("DASHBOARD_LIFETIME", 7 * 86400, minimum=3600, maximum=30 * 86400)
DASHBOARD_IDLE_LIFETIME = env.int("DASHBOARD_IDLE_LIFETIME", 12 * 3600, minimum=300, maximum=30 * 86400)
SIMPLE_JWT = {"TOKEN_TYPE_CLAIM": "typ", "USER_ID_CLAIM": "sub", "LEEWAY": 0}

# --- Signing in by Google and Apple (sso/providers.py): without client ids, and the keys that belong to them, there is
# none. The first client id is the one of web pages; those of apps follow.
GOOGLE_CLIENT_IDS = env.csv("GOOGLE_CLIENT_IDS")
GOOGLE_CLIENT_SECRET = env.text("GOOGLE_CLIENT_SECRET")
GOOGLE_ISSUER = env.endpoint("GOOGLE_ISSUER", "https://accounts.google.com")
GOOGLE_JWKS_URL = env.endpoint("GOOGLE_JWKS_URL", "https://www.googleapis.com/oauth2/v3/certs")
GOOGLE_AUTHORIZATION_URL = env.endpoint("GOOGLE_AUTHORIZATION_URL", "https://accounts.google.com/o/oauth2/v2/auth")
GOOGLE_TOKEN_URL = env.endpoint("GOOGLE_TOKEN_URL", "https://oauth2.googleapis.com/token")
APPLE_CLIENT_IDS = env.csv("APPLE_CLIENT_IDS")
APPLE_TEAM_ID = env.text("APPLE_TEAM_ID")
APPLE_KEY_ID = env.text("APPLE_KEY_ID")
APPLE_PRIVATE_KEY = env.pem("APPLE_PRIVATE_KEY")
APPLE_ISSUER = env.endpoint("APPLE_ISSUER", "https://appleid.apple.com")
APPLE_JWKS_URL = env.endpoint("APPLE_JWKS_URL", "https://appleid.apple.com/auth/keys")
APPLE_AUTHORIZATION_URL = env.endpoint("APPLE_AUTHORIZATION_URL", "https://appleid.apple.com/auth/authorize")
APPLE_TOKEN_URL = env.endpoint("APPLE_TOKEN_URL", "https://appleid.apple.com/auth/token")
APPLE_REVOKE_URL = env.endpoint("APPLE_REVOKE_URL", "https://appleid.apple.com/auth/revoke")

# --- Signing in by a workspace's own identity provider (sso/saml/)
DNS_RESOLVER = env.address("DNS_RESOLVER")  # asked for the records that prove a domain
IDENTITY_PROVIDER_NETWORKS = env.networks("IDENTITY_PROVIDER_NETWORKS")
SSO_ALLOW_DEV_SCHEME = env.bool("SSO_ALLOW_DEV_SCHEME", False)

# --- Limits: requests an hour and credential, by the workspace's plan; what stands in accounts/throttles.py are the
# fixed ones.
PLAN_LIMITS = {"free": 1_000, "pro": 2_000, "team": 5_000, "business": 10_000, "enterprise": 20_000}
# The most features of one import.
PLAN_IMPORT_FEATURES = {"free": 10_000, "pro": 50_000, "team": 100_000, "business": 250_000, "enterprise": 1_000_000}
SIGNUP_IS_OPEN = env.bool("SIGNUP_IS_OPEN", True)
MAX_API_KEYS_PER_WORKSPACE = env.int("MAX_API_KEYS_PER_WORKSPACE", 200, minimum=1, maximum=100_000)

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
# Django's session is the dashboard's alone. It names a sign-in, which the database knows, so it needs no table. A
# cookie named __Host- comes from this very host, over https (or from localhost).
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
SESSION_COOKIE_NAME = "__Host-session"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = DASHBOARD_LIFETIME
CSRF_COOKIE_NAME = "__Host-csrf"
CSRF_FAILURE_VIEW = "dashboard.outside.form_refused"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
X_FRAME_OPTIONS = "DENY"
MAP_TILE_URL = env.tiles("MAP_TILE_URL")
MAP_TILE_ATTRIBUTION = env.text("MAP_TILE_ATTRIBUTION")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", *origin_of(MAP_TILE_URL)],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- Web pages of other origins (CORS_ALLOWED_ORIGINS) call the API with a credential in a header, never with cookies.
CORS_URLS_REGEX = r"^/api/v1/"
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "x-api-key"]
CORS_EXPOSE_HEADERS = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"]

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
            "RefreshCookie": {"type": "apiKey", "in": "cookie", "name": "spatialflow_refresh"},
        }
    },
    "POSTPROCESSING_HOOKS": ["accounts.openapi.sort_responses"],
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "COMPONENT_SPLIT_PATCH": False,  # the bodies of PATCH say themselves what may be left out
}

# --- Mail
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "SpatialFlow <no-reply@localhost>")
_mail = env.url("EMAIL_URL", ("smtp", "smtps"), "smtp://localhost")
_goes_out = PRODUCTION or env.text("EMAIL_URL") != ""
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
        "crashes": {"()": "spatialflow.log.CrashesByRoute"},
        "redact": {"()": "spatialflow.log.RedactSecrets"},
    },
    "formatters": {
        "json": {"()": "spatialflow.log.JsonFormatter"},
        "text": {"()": "spatialflow.log.TextFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": env.choice("LOG_FORMAT", ("json", "text") if PRODUCTION else ("text", "json")),
            "filters": ["brief", "redact"],
        }
    },
    "root": {"handlers": ["stderr"], "level": env.choice("LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR"))},
    "loggers": {
        "django.db.backends": {"level": "INFO"},
        # What a client did wrong it was told, and the request has a line.
        "django.request": {"level": "ERROR", "filters": ["crashes"]},
    },
}
