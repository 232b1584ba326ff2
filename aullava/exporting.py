"""`aullava export`: the weights of a run as a folder of transformers, checked before it gets its name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from aullava.build import DTYPES, build_collator, build_data, build_model
from aullava.config.load import Resolved, resolve
from aullava.config.schema import Config
from aullava.config.show import save
from aullava.export.card import model_card
from aullava.export.errors import ExportError
from aullava.export.folder import write_folder
from aullava.export.verify import Served
from aullava.inference.questions import recorded_crops
from aullava.model_facts import card_facts
from aullava.models.folders import quiet
from aullava.text.collate import Collator
from aullava.text.question import asking_text
from aullava.training.checkpoint import load_weights
from aullava.training.run_folder import write_json
from aullava.verifying import Asked, Picture, before_merging, refuse_other_tokens, verified
from aullava.vocabulary import vocabulary
from datamodules.images import read_image

CROPS: Final = "faces.json"
"""In the folder: how faces were cut out of the pictures of each dataset; new pictures need the same."""
SETTINGS: Final = "aullava.yaml"
"""In the folder: the run's config, without the places of one machine; `aullava import` reads it."""


def export(run: Path, out: Path, dtype: str | None, verify: int, pictures: Sequence[Path]) -> list[str]:
    """Write a run as a folder that transformers, vLLM and SGLang load.

    Args:
        run: folder of the run.
        out: the folder to make.
        dtype: of its weights, a key of `DTYPES`; None: that of the run's language model.
        verify: on how many images the folder is compared with the run; 0: its tokens alone are.
        pictures: images to compare on; none: faces of the run's test people.

    Returns:
        What to print.

    Raises:
        ExportError: the folder exists, or it would not be the trained model; nothing is left behind then.
    """
    if out.exists():
        raise ExportError(f"{out} is there already: give the name of a new folder")
    resolved = resolve(run / "config.yaml", ("llm.quantization=none",), vocabulary())
    config = resolved.config
    if config.answer.independent:
        raise ExportError(
            f"{run} answers every Action Unit by itself (answer.independent), behind the beginning of its "
            "answer, which the chat template of an export cannot give: use the run itself with `aullava "
            "predict`, or export one with one text"
        )
    kind = DTYPES[dtype or config.llm.dtype]
    faces = _faces(config, verify, pictures) if verify else []
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(config)
    load_weights(model, run)
    model = model.to(device).eval()
    collator = build_collator(config, model)
    asked = _asked(config)
    before = before_merging(model, collator, asked, faces)
    with _new_folder(out) as folder:
        with quiet():
            questions = [_question(collator, one) for one in asked]
            written = write_folder(model, collator, questions, kind, folder)
            served = Served(folder, device, config.llm.attention)
        save(_elsewhere(resolved), folder / SETTINGS)
        write_json(folder / CROPS, {name: _portable(one) for name, one in recorded_crops(run).items()})
        refuse_other_tokens(served, collator, asked, written)
        said = []
        if faces:
            found = verified(served, written, collator, asked, faces, before)
            said = found.lines()
            if (wrong := found.complaint()) is not None:
                raise ExportError(f"{out} was not written: {wrong} ({'; '.join(said)})")
        card = model_card(card_facts(run, config, kind, said))
        (folder / "README.md").write_text(card, encoding="utf-8")
    return [*said, f"exported: {out}"]


def _portable(crops: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in crops.items() if key != "store"}  # a path of this machine


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder under a temporary name, which becomes `out` if all goes well and else is removed."""
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        draft.mkdir(parents=True)
        yield draft
        draft.rename(out)
    except OSError as error:
        raise ExportError(f"{out} cannot be written ({error.strerror}): give another folder") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _faces(config: Config, count: int, pictures: Sequence[Path]) -> list[Picture]:
    """Images to compare on: the user's own, or evenly from the run's test faces."""
    if pictures:
        return [read_image(path) for path in pictures[:count]]
    data = build_data(config)
    data.prepare_data()
    data.setup("test")
    places = [(member, row) for member in data.members for row in member.rows("test")]
    chosen = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    return [member.picture(row) for member, row in (places[place] for place in chosen)]


def _asked(config: Config) -> list[Asked]:
    """Every question that the run was trained on."""
    members = build_data(config).members
    return list(dict.fromkeys((member.coded_scale(), tuple(member.asked_aus)) for member in members))


def _question(collator: Collator, asked: Asked) -> dict[str, Any]:
    """A question as the folder's list of questions has it."""
    scale, aus = asked
    return {
        "format": scale.value,
        "aus": list(aus),
        "question": asking_text(aus, scale, collator.style),
        "max_new_tokens": len(collator.prompt(aus, scale).grammar.steps),
    }


def _elsewhere(resolved: Resolved) -> Resolved:
    """The config without the places of this machine, and without where its values came from."""
    config = resolved.config
    datasets = {name: replace(one, root=None, prepared=None) for name, one in config.data.datasets.items()}
    data = replace(config.data, datasets=datasets)
    moved = replace(config, runs_dir="runs", init_from_run=None, data=data)
    return replace(resolved, config=moved, provenance=dict.fromkeys(resolved.provenance, ""))
