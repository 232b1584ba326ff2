"""What one key alone cannot tell: rules between keys, and words of other rooms."""

from __future__ import annotations

from aullava.config.errors import refusal
from aullava.config.paths import DATASETS, Where, dotted
from aullava.config.schema import Config, Vocabulary
from aullava.config.words import hint

SHARDED = ("fsdp2", "fsdp")
"""Strategies that share the weights out."""


def check(config: Config, vocabulary: Vocabulary | None, where: Where) -> None:
    """Refuse the first thing that is wrong between the keys of a complete config.

    Raises:
        ConfigError: no dataset, an unknown Action Unit, two origins of one model, a kind of answer that does
            not go with its form, decoder or attention, or a strategy that has not the devices, or the
            arithmetic, that it needs.
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
    _check_answer(config, where)
    _check_strategy(config, where)


def _check_answer(config: Config, where: Where) -> None:
    """Refuse a form, a decoder and an attention that do not go with the kind of answer."""
    alone, method = config.answer.independent, config.decoding.method
    if method == ("one_pass" if alone else "parallel"):
        kind = "independent answers" if alone else "answers of one text"
        sentence = f"decoding.method '{method}' is not for {kind} (answer.independent): write auto"
        raise refusal(where(("decoding", "method")), sentence)
    if config.decoding.exact and method == "generate":
        sentence = "decoding.exact is one more pass, decoding.method 'generate' has none: write auto"
        raise refusal(where(("decoding", "exact")), sentence)
    if alone and config.answer.form != "named":
        sentence = f"answer.form '{config.answer.form}' does not name its Action Units: write named, or "
        raise refusal(where(("answer", "form")), sentence + "answer.independent=false")
    if alone and config.llm.attention == "flash_attention_2":
        sentence = "flash_attention_2 takes no mask of branches, as answer.independent needs: write sdpa"
        raise refusal(where(("llm", "attention")), sentence)


def _check_strategy(config: Config, where: Where) -> None:
    """Refuse devices, precision and weights that a strategy cannot have."""
    name, precision, count = config.strategy.name, config.trainer.precision, 1
    for key, value in (("devices", config.strategy.devices), ("nodes", config.strategy.nodes)):
        count *= value
        if name == "single" and value > 1:
            sentence = f"strategy.{key} is {value}, but strategy 'single' uses one: write strategy=ddp"
            raise refusal(where(("strategy", key)), sentence)
    if name not in SHARDED:
        return
    if count == 1:
        sentence = f"strategy '{name}' needs several devices, strategy.devices is 1: write strategy=single"
        raise refusal(where(("strategy", "name")), sentence)
    if precision == "16-mixed":
        sentence = f"trainer.precision 16-mixed and strategy '{name}' do not go together: write bf16-mixed"
        raise refusal(where(("trainer", "precision")), sentence)
    if config.llm.quantization != "none":
        sentence = f"llm.quantization and strategy '{name}' do not go together: write strategy=ddp, or none"
        raise refusal(where(("llm", "quantization")), sentence)
    if config.trainer.find_batch_size:
        sentence = f"trainer.find_batch_size measures whole models, strategy '{name}' has none: write false"
        raise refusal(where(("trainer", "find_batch_size")), sentence)
    if name == "fsdp":
        _check_fsdp(config, where)


def _check_fsdp(config: Config, where: Where) -> None:
    """Refuse what PyTorch's older engine cannot do, and fsdp2 can."""
    if config.trainer.val_every is not None:
        sentence = "strategy 'fsdp' answers at the end only: write trainer.val_every=null, or strategy=fsdp2"
        raise refusal(where(("trainer", "val_every")), sentence)
    for section, dtype in (("vision", config.vision.dtype), ("llm", config.llm.dtype)):
        if dtype != "float32":
            sentence = f"strategy 'fsdp' wants {section}.dtype=float32 beside adapters: write strategy=fsdp2"
            raise refusal(where((section, "dtype")), sentence)
