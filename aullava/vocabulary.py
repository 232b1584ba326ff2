"""The words of other rooms that a config is checked against: datasets, options, Action Units. No torch."""

from __future__ import annotations

from aullava.config.schema import Vocabulary
from datamodules.action_units import codes
from datamodules.registry import option_types


def vocabulary() -> Vocabulary:
    """What `aullava.config.load.resolve` takes as `checks`; datasets of installed packages included.

    Raises:
        DatasetError: two packages register a dataset of the same name.
    """
    return Vocabulary(datasets=option_types(), action_units=codes())
