"""What one key alone cannot tell: rules between keys, and words of other rooms."""

from __future__ import annotations

from aullava.config.errors import refusal
from aullava.config.paths import DATASETS, Where, dotted
from aullava.config.schema import Config, Vocabulary
from aullava.config.words import hint

WEIGHTS = ("best", "last")
"""Choices of trainer.weights that are no score; those of `aullava.evaluation.choice`."""
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
    _check_choice(config, where)
    _check_vision_adapter(config, where)
    _check_compile(config, where)
    _check_answer(config, where)
    _check_strategy(config, where)


def _check_choice(config: Config, where: Where) -> None:
    """Refuse a choice of weights that no validation can make."""
    by, key = config.trainer.weights, ("trainer", "weights")
    if by in WEIGHTS:
        return
    if not by.startswith("val/"):
        words = f"write {', '.join(WEIGHTS)} or a validation's score such as val/bp4d/f1_macro"
        raise refusal(where(key), f"trainer.weights has no choice '{by}': {words}")
    if config.trainer.val_every is None:
        sentence = f"trainer.weights is '{by}', but there is one validation only: write trainer.val_every too"
        raise refusal(where(key), sentence)


def _check_vision_adapter(config: Config, where: Where) -> None:
    """Refuse an adapter on the vision encoder that could not be trained."""
    if config.adapter.vision_targets is None:
        return
    key = ("adapter", "vision_targets")
    if config.adapter.kind == "none":
        sentence = "adapter.vision_targets needs an adapter, but adapter.kind is none: write lora, or null"
        raise refusal(where(key), sentence)
    if config.vision.cache_dir is not None:
        sentence = "vision.cache_dir keeps what a frozen encoder makes, adapter.vision_targets trains it: "
        raise refusal(where(("vision", "cache_dir")), sentence + "write vision.cache_dir=null")
    if config.strategy.name in SHARDED:
        sentence = (
            f"adapter.vision_targets and strategy '{config.strategy.name}' do not go together: "
            "write strategy=ddp, or null"
        )
        raise refusal(where(key), sentence)


def _check_compile(config: Config, where: Where) -> None:
    """Refuse blocks that are compiled and yet shared out, in 4 bits or with flex_attention: never tried."""
    others = {
        f"strategy '{config.strategy.name}'": config.strategy.name in SHARDED,
        "llm.quantization": config.llm.quantization != "none",
        "llm.attention flex_attention": config.llm.attention == "flex_attention",
    }
    for other, chosen in others.items():
        if config.trainer.compile and chosen:
            sentence = f"trainer.compile and {other} do not go together: write trainer.compile=false"
            raise refusal(where(("trainer", "compile")), sentence)


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
    if config.trainer.checkpoint == "sharded":
        sentence = "strategy 'fsdp' cannot write trainer.checkpoint=sharded: write whole, or strategy=fsdp2"
        raise refusal(where(("trainer", "checkpoint")), sentence)
    if config.trainer.val_every is not None:
        sentence = "strategy 'fsdp' answers at the end only: write trainer.val_every=null, or strategy=fsdp2"
        raise refusal(where(("trainer", "val_every")), sentence)
    for section, dtype in (("vision", config.vision.dtype), ("llm", config.llm.dtype)):
        if dtype != "float32":
            sentence = f"strategy 'fsdp' wants {section}.dtype=float32 beside adapters: write strategy=fsdp2"
            raise refusal(where((section, "dtype")), sentence)
