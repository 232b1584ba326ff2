"""The one error of the config room."""

from __future__ import annotations

from typing import ClassVar


class ConfigError(Exception):
    """A config is not what the schema allows; the message is one line for the user.

    Whatever another library said inside the message is folded into that line.
    """

    for_user: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def refusal(where: str, sentence: str) -> ConfigError:
    """The error for `sentence`, led by the place it is about, such as ``experiments/demo.yaml:3``."""
    return ConfigError(f"{where}: {sentence}" if where else sentence)
