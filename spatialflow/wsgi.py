"""The WSGI entry point for granian or any other server."""

import gc
import os

from django.conf import settings
from django.core.cache import close_caches
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, reset_queries
from django.utils.module_loading import import_string

from spatialflow import metrics_files

# Before anything imports prometheus_client, which then looks where to keep its figures.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_files.prepare())
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spatialflow.settings")
try:
    application = get_wsgi_application()
except ImproperlyConfigured as error:
    raise SystemExit(str(error)) from None
# What Django does around every request, and nothing here needs: no list of queries is kept, no cache wants closing, and
# connections are looked at when the next request begins.
request_started.disconnect(reset_queries)
request_finished.disconnect(close_caches)
request_finished.disconnect(close_old_connections)
for name in settings.STARTED_WITH_THE_SERVER:
    import_string(name)()
# What is loaded by now stays: looking through it again and again for what may go would hold up requests.
gc.collect()
gc.freeze()
