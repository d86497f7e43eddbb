#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from spatialflow.log import log_crash

if __name__ == "__main__":
    sys.excepthook = log_crash
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spatialflow.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from None
