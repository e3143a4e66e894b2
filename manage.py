#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""The service's command line. Without DJANGO_SETTINGS_MODULE the production settings apply."""

import gc
import os
import sys

gc.disable()  # until a command begins: what is loaded stays, and each look at it is a part of the start

from config.command_line import CommandLine, complete  # noqa: E402 -- as said above

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")
    if "_ARGCOMPLETE" in os.environ:
        complete()
    elif sys.argv[1:] in (["version"], ["--version"]):  # Django would tell its own
        from config import VERSION

        sys.stdout.write(f"{VERSION}\n")
    else:
        CommandLine(sys.argv).execute()
