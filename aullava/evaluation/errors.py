"""What can be wrong with results and with files of predictions and labels, in one sentence."""

from __future__ import annotations

from typing import ClassVar


class ComparisonError(Exception):
    """Files that cannot be compared; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True


class ResultError(Exception):
    """Results that are not there, or cannot share a table; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True
