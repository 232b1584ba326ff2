"""What can be wrong with an export or an import, each in one sentence."""

from __future__ import annotations

from typing import ClassVar


class ExportError(Exception):
    """A model cannot be written as asked, or what was written is not it; the message is one sentence."""

    for_user: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
