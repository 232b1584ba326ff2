"""What can be wrong with a run, each in one sentence."""

from __future__ import annotations

from typing import ClassVar


class RunError(Exception):
    """A run is not as it should be; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True
