"""A fit's event file holds every tag that an ML engineer looks for, and no face that may not be shown."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context

from aullava.cli import main
from aullava.training.callbacks.hparams import log_final
from datamodules import registry
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS
from tests.tiny_runs import DATASETS, DEMO, small

LEVELS, DERIVED = "synthetic_disfa", "synthetic_disfa.presence"
AUS = dict(zip(DATASETS, (BP4D_AUS, DISFA_AUS, FEAFA_AUS), strict=True)) | {DERIVED: DISFA_AUS}
DECIDED = ("synthetic_bp4d", LEVELS, DERIVED)
"""Datasets, in their formats, whose answers say what is present."""
STEPS = 6


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tensorboard")


def _events(run: Path) -> EventAccumulator:
    sizes = {"images": 0, "tensors": 0, "scalars": 0}
    events = EventAccumulator(str(run / "tensorboard"), size_guidance=sizes)
    events.Reload()
    return events


@pytest.fixture(scope="module")
def events(home: Path) -> EventAccumulator:
    """Of a fit with two validations; one dataset is asked in two formats, one may not be shown."""
    words = [*small(home, STEPS), "trainer.val_every=3", "data.datasets.synthetic_feafa.log_images=false"]
    words += [f"data.datasets.{LEVELS}.formats=[level,presence]"]
    assert main(["fit", DEMO, *words]) == 0
    return _events(home / "runs" / "demo" / "1")


def test_scalars(events: EventAccumulator, home: Path) -> None:
    tags = set(events.Tags()["scalars"])
    wanted = {"train/loss", *(f"train/loss/{scale}" for scale in ("presence", "level", "intensity"))}
    wanted |= {f"lr-AdamW/{group}" for group in ("projector", "lora")}
    wanted |= {f"gradients/{group}" for group in ("projector", "lora", "total")}
    wanted |= {f"throughput/{rate}" for rate in ("images_per_second", "tokens_per_second", "data_wait_share")}
    wanted |= {"memory/process_mb", "val/chosen_by"}
    wanted |= {"memory/gpu_mb"} if torch.cuda.is_available() else set()
    wanted |= {f"val/{name}/mae_macro" for name in DATASETS[1:]}
    for name, aus in AUS.items():
        wanted |= {f"val/{name}/support/{code}" for code in aus}
        wanted |= {f"val/{name}/invalid_rate", f"val/{name}/answer_diversity"}
    wanted |= {f"val/{name}/accuracy/{code}" for name in DECIDED for code in AUS[name]}
    result = json.loads((home / "runs" / "demo" / "1" / "result.json").read_text())
    scores = {key for key, value in result.items() if key.startswith("val/") and value is not None}
    assert len(scores) > 300  # each score of each Action Unit and their means, where there is support
    assert (wanted | scores) - tags == set()
    assert [one.step for one in events.Scalars("gradients/total")] == list(range(STEPS))
    for step in range(STEPS):
        parts = [events.Scalars(f"gradients/{group}")[step].value for group in ("projector", "lora")]
        assert events.Scalars("gradients/total")[step].value == pytest.approx(np.hypot(*parts), rel=1e-5)
    assert 100 < events.Scalars("memory/process_mb")[-1].value < 1e6


def test_pictures(events: EventAccumulator) -> None:
    images = set(events.Tags()["images"])
    assert images == {
        *(f"faces/{name}" for name in DECIDED),  # and not the one that was withheld
        *(f"together/{name}" for name in DECIDED),
        *(f"reliability/{name}" for name in ("synthetic_bp4d", DERIVED)),
    }
    for tag in images:
        found = events.Images(tag)
        assert len(found) == 2
        assert np.asarray(Image.open(io.BytesIO(found[-1].encoded_image_string))).std() > 10


def test_curves_and_texts(events: EventAccumulator) -> None:
    tensors = set(events.Tags()["tensors"])
    curves = {f"pr/{name}/{code}" for name in ("synthetic_bp4d", DERIVED) for code in AUS[name]}
    prompts = {
        f"prompt/{name}/{scale}"
        for name, scale in zip(DATASETS, ("presence", "level", "intensity"), strict=True)
    } | {f"prompt/{LEVELS}/presence"}
    texts = {f"{one}/text_summary" for one in prompts | {f"answers/{name}" for name in AUS}}
    assert curves | texts <= tensors
    assert set(events.PluginTagToContent("pr_curves")) == curves
    tag = "prompt/synthetic_bp4d/presence/text_summary"
    said = events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
    assert "[image: " in said
    assert "AU12 lip corner puller" in said
    marked = "".join(part.partition("⟧")[0] for part in said.partition(":\n\n")[2].split("⟦")[1:])
    assert "".join(marked.split()).startswith("AU1:")
    assert marked.count("AU") == 12


def _compared(logdir: Path) -> tuple[Any, Any]:
    """What TensorBoard's own HParams tab makes of the runs below a folder: the columns, and a row per run."""
    runs = EventMultiplexer().AddRunsFromDirectory(str(logdir))
    runs.Reload()
    board = TBContext(data_provider=MultiplexerDataProvider(runs, str(logdir)))
    asked: Any = (RequestContext(), Context(board), "")
    states = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN]
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=10, allowed_statuses=states)
    columns = get_experiment.Handler(*asked, api_pb2.GetExperimentRequest()).run()
    return columns, list_session_groups.Handler(*asked, request).run().session_groups


def test_runs_compare_by_their_config(events: EventAccumulator, home: Path) -> None:
    """A run on another dataset beside it: the tab has the values and final scores of both."""
    other = {"optim.lr_lora": 0.5, "data.datasets.bp4d.fold": 2, "data.datasets.bp4d.root": "/data"}
    log_final(home / "runs" / "other" / "1" / "tensorboard", other, {"val/bp4d/f1_macro": 0.25}, 9)
    columns, rows = _compared(home / "runs")
    keys = {one.name for one in columns.hparam_infos}
    wanted = {
        "data.batch_size",
        "data.datasets.synthetic_bp4d.fold",
        "data.datasets.bp4d.fold",
        "trainer.weights",
    }
    assert wanted <= keys
    assert not {"runs_dir", "data.datasets.bp4d.root"} & keys
    assert [key for key in keys if "faces" in key] == []
    scores = {one.name.tag for one in columns.metric_infos}
    assert {"final/val/bp4d/f1_macro", "final/val/synthetic_feafa/icc_macro"} <= scores
    assert {tag.partition("/")[0] for tag in scores} == {"final"}  # and not each of hundreds of curves
    found = {row.hparams["optim.lr_lora"].number_value: row for row in rows}
    assert set(found) == {0.5, 2.5e-3}
    result = json.loads((home / "runs" / "demo" / "1" / "result.json").read_text())
    for row in found.values():
        for one in row.metric_values:
            name = one.name.tag.removeprefix("final/")
            assert one.value == pytest.approx(0.25 if "/bp4d/" in name else result[name])
    assert len(found[2.5e-3].metric_values) > 5


def test_licensed_faces_are_not_shown_unless_somebody_says_so() -> None:
    found: dict[str, Any] = {name: registry.load(name) for name in registry.BUILT_IN}
    shown = {name for name, module in found.items() if module.log_images}
    assert shown == set(DATASETS)
