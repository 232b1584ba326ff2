"""What one key alone cannot tell: rules between keys, and words of other rooms."""

from __future__ import annotations

from aullava.config.errors import refusal
from aullava.config.paths import DATASETS, Where, dotted
from aullava.config.schema import Config, Vocabulary
from aullava.config.words import hint


def check(config: Config, vocabulary: Vocabulary | None, where: Where) -> None:
    """Refuse the first thing that is wrong between the keys of a complete config.

    Raises:
        ConfigError: no dataset, an unknown Action Unit, or several devices without a strategy for them, or
            two origins of one model.
    """
    if not config.data.datasets:
        known = "" if vocabulary is None else f"; there are {', '.join(sorted(vocabulary.datasets))}"
        sentence = f"data.datasets names no dataset: extend a data/ fragment, or write data=NAME{known}"
        raise refusal(where(DATASETS), sentence)
    for name, dataset in config.data.datasets.items():
        for code in dataset.aus or ():
            if vocabulary is not None and code not in vocabulary.action_units:
                key = (*DATASETS, name, "aus")
                words = hint(code, sorted(vocabulary.action_units))
                raise refusal(where(key), f"{dotted(key)} has an unknown Action Unit '{code}', {words}")
    for section, name in (("vision", config.vision.name), ("llm", config.llm.name)):
        if config.llm.init_from is not None and name != "tiny":
            sentence = f"{section}.name is '{name}', but llm.init_from brings its own: write one of the two"
            raise refusal(where((section, "name")), sentence)
    if config.strategy.name == "single" and config.strategy.devices > 1:
        devices = config.strategy.devices
        sentence = f"strategy.devices is {devices}, but strategy 'single' uses one: write strategy=ddp"
        raise refusal(where(("strategy", "devices")), sentence)
