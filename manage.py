#!/usr/bin/env python3
"""Django's command line. Without DJANGO_SETTINGS_MODULE the production settings apply."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")
    if sys.argv[1:] in (["version"], ["--version"]):  # Django would tell its own
        from config import VERSION

        sys.stdout.write(f"{VERSION}\n")
    else:
        execute_from_command_line(sys.argv)
