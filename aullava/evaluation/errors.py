"""What can be wrong with files of predictions and labels, in one sentence that says what to do."""

from __future__ import annotations

from typing import ClassVar


class ComparisonError(Exception):
    """Files that cannot be compared; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True
