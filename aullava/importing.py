"""`aullava import`: an exported folder, or a LLaVA with a LoRA adapter, as a run to ask and to test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aullava.build import build_collator, build_data, build_model
from aullava.config.load import resolve
from aullava.config.schema import Config
from aullava.config.show import save
from aullava.export.adapter import Adapter, read_adapter
from aullava.export.errors import ExportError
from aullava.exporting import CROPS, SETTINGS
from aullava.models.folders import load_config, model_folder
from aullava.models.llava import NEEDED
from aullava.models.vision_kinds import prefix_tokens, vision_config
from aullava.training.checkpoint import save_weights
from aullava.training.run_folder import new_run, versions, write_json, write_text
from aullava.vocabulary import vocabulary

_KINDS = {"linear": "linear", "gelu": "mlp"}
"""`projector_hidden_act` of a LLaVA -> projector.kind."""


def import_folder(name: str, adapter: Path | None, experiment: Path | None, overrides: Sequence[str]) -> Path:
    """Make a run of a folder.

    Args:
        name: folder or hub id of a LlavaForConditionalGeneration.
        adapter: folder of a PEFT adapter on it; None: none.
        experiment: says questions, answers and datasets; None: the folder says them itself, being an export.
        overrides: changes of the config, as on the command line.

    Returns:
        The run's folder.

    Raises:
        ExportError: the folder says no settings and no experiment is given, or the adapter does not fit.
        ModelError: the folder is no LLaVA, or its parts cannot be taken over.
    """
    folder = model_folder(name, "llava", NEEDED)
    if experiment is None and not (folder / SETTINGS).is_file():
        raise ExportError(
            f"{folder} was not written by `aullava export` (it has no {SETTINGS}): say with --experiment "
            "FILE which questions it is asked"
        )
    read = None if adapter is None else read_adapter(adapter, folder)
    words = [*_parts(folder), *_adapter(read), *overrides]
    resolved = resolve(experiment or folder / SETTINGS, words, vocabulary())
    model = build_model(resolved.config)
    if not model.aligned:
        raise ExportError(
            f"projector.kind is {resolved.config.projector.kind}, but the projector of {folder} is another "
            f"and would be lost: write {next(word for word in words if word.startswith('projector.kind='))}"
        )
    if read is not None:
        own = {key: value for key, value in model.trainable_state_dict().items() if key not in read.state}
        projector = {key: value for key, value in own.items() if key.startswith("projector.")}
        model.load_trainable_state_dict({**projector, **read.state})
    build_collator(resolved.config, model)  # refuses a tokenizer or processor that does not fit
    run = new_run(Path(resolved.config.runs_dir), resolved.config.experiment)
    save(resolved, run / "config.yaml")
    write_text(run / "overrides.txt", "".join(f"{line}\n" for line in resolved.overrides))
    write_json(run / "versions.json", versions())
    origin = {"imported": str(folder), "adapter": adapter and str(adapter)}
    write_json(run / "fingerprint.json", {**origin, "crops": _crops(folder, resolved.config)})
    save_weights(model.trainable_state_dict(), run)
    return run


def _crops(folder: Path, config: Config) -> dict[str, Any]:
    """How faces are cut out: as an export says, or as the experiment says of its datasets."""
    if (folder / CROPS).is_file():
        found: dict[str, Any] = json.loads((folder / CROPS).read_text(encoding="utf-8"))
        return found
    return {member.name: member.crops.record() for member in build_data(config).members}


def _parts(folder: Path) -> list[str]:
    """The config's keys that the folder itself decides."""
    config: Any = load_config(folder)
    if config.model_type != "llava":
        raise ExportError(
            f"{folder}/config.json describes a '{config.model_type}', but a 'llava' "
            "(LlavaForConditionalGeneration) is imported"
        )
    if config.projector_hidden_act not in _KINDS:
        raise ExportError(
            f"the projector of {folder} has the activation '{config.projector_hidden_act}', but those of "
            f"projector.kind have {' or '.join(_KINDS)}"
        )
    layers = config.vision_feature_layer
    layers = [layers] if isinstance(layers, int) else list(layers)
    whole = config.vision_feature_select_strategy == "full" and prefix_tokens(vision_config(folder)) > 0
    dtype = str(config.dtype or "float32").removeprefix("torch.")
    return [
        f"llm.init_from={folder.resolve()}",
        "llm.name=tiny",
        "vision.name=tiny",
        f"vision.layers={layers}",
        f"vision.tokens={'all' if whole else 'patches'}",
        f"vision.dtype={dtype}",
        f"llm.dtype={dtype}",
        "llm.quantization=none",
        f"projector.kind={_KINDS[config.projector_hidden_act]}",
        "init_from_run=null",
    ]


def _adapter(adapter: Adapter | None) -> list[str]:
    if adapter is None:
        return ["adapter.kind=none", "adapter.vision_targets=null"]
    return [
        f"adapter.kind={adapter.kind}",
        f"adapter.r={adapter.r}",
        f"adapter.alpha={adapter.alpha}",
        f"adapter.dropout={adapter.dropout}",
        f"adapter.targets=[{','.join(adapter.targets)}]",
        "adapter.vision_targets=null",
    ]
