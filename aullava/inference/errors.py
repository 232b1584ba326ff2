"""What can be wrong with a prediction, each in one sentence for the user."""

from __future__ import annotations

from typing import ClassVar


class PredictionError(Exception):
    """Nothing can be predicted; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True
