"""Where something was measured: the commit and the processor."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path


def commit() -> str:
    """The commit that is measured; "-dirty" behind it: with changes."""
    words = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def processor() -> str:
    """The processor's own name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
