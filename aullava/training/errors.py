"""What can be wrong with a run, each in one sentence."""

from __future__ import annotations

from typing import ClassVar


class RunError(Exception):
    """A run is not as it should be; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True


class PreemptedError(RunError):
    """A signal asked the run to stop; everything is saved."""

    exit_code: ClassVar[int] = 143
    """What a shell reports of a process that SIGTERM ended; schedulers take it for "start it again"."""
