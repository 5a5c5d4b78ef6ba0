"""The browser that the tests drive: ``python3 tests/browser/chromium.py`` fails, and says what to do, where there is none.

Only with what Python brings, for it is asked before there is a virtual environment.
"""

from __future__ import annotations

import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = """No Chromium here, which the tests in a browser need. Install it:
  Debian: sudo apt-get install -y chromium
  Ubuntu: wget https://dl.google.com/linux/direct/google-chrome-stable_current_amd64.deb
          sudo apt-get install -y ./google-chrome-stable_current_amd64.deb"""


def find() -> str | None:
    """Its path."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


if __name__ == "__main__" and not find():
    sys.exit(MISSING)
