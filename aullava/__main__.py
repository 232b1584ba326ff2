"""`python -m aullava` is `aullava`."""

from __future__ import annotations

import sys

from aullava.cli import main

if __name__ == "__main__":
    sys.exit(main())
