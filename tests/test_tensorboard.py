"""A fit's event file holds every tag that an ML engineer looks for, and no face that may not be shown."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aullava.cli import main
from datamodules import registry
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS
from tests.tiny_runs import DATASETS, DEMO, small

AUS = dict(zip(DATASETS, (BP4D_AUS, DISFA_AUS, FEAFA_AUS), strict=True))
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
    """Of a fit with two validations; one dataset may not be shown."""
    words = [*small(home, STEPS), "trainer.val_every=3", "data.datasets.synthetic_feafa.log_images=false"]
    assert main(["fit", DEMO, *words]) == 0
    return _events(home / "runs" / "demo" / "1")


def test_scalars(events: EventAccumulator) -> None:
    tags = set(events.Tags()["scalars"])
    wanted = {"train/loss", *(f"train/loss/{scale}" for scale in ("presence", "level", "intensity"))}
    wanted |= {f"lr-AdamW/{group}" for group in ("projector", "lora")}
    wanted |= {f"gradients/{group}" for group in ("projector", "lora", "total")}
    wanted |= {f"throughput/{rate}" for rate in ("images_per_second", "tokens_per_second", "data_wait_share")}
    wanted |= {"memory/process_mb"}
    wanted |= {f"val/{name}/mae_macro" for name in DATASETS[1:]}
    for name, aus in AUS.items():
        wanted |= {f"val/{name}/support/{code}" for code in aus}
        wanted |= {f"val/{name}/invalid_rate", f"val/{name}/answer_diversity"}
    wanted |= {f"val/{name}/accuracy/{code}" for name in DATASETS[:2] for code in AUS[name]}
    assert wanted - tags == set()
    assert [one.step for one in events.Scalars("gradients/total")] == list(range(STEPS))
    for step in range(STEPS):
        parts = [events.Scalars(f"gradients/{group}")[step].value for group in ("projector", "lora")]
        assert events.Scalars("gradients/total")[step].value == pytest.approx(np.hypot(*parts), rel=1e-5)
    assert 100 < events.Scalars("memory/process_mb")[-1].value < 1e6


def test_pictures(events: EventAccumulator) -> None:
    images = set(events.Tags()["images"])
    assert (
        images
        == {
            *(f"faces/{name}" for name in DATASETS[:2]),  # and not the one that was withheld
            *(f"together/{name}" for name in DATASETS[:2]),
            "reliability/synthetic_bp4d",
        }
    )
    for tag in images:
        found = events.Images(tag)
        assert len(found) == 2
        assert np.asarray(Image.open(io.BytesIO(found[-1].encoded_image_string))).std() > 10


def test_curves_and_texts(events: EventAccumulator) -> None:
    tensors = set(events.Tags()["tensors"])
    curves = {f"pr/synthetic_bp4d/{code}" for code in BP4D_AUS}
    prompts = {
        f"prompt/{name}/{scale}"
        for name, scale in zip(DATASETS, ("presence", "level", "intensity"), strict=True)
    }
    texts = {f"{one}/text_summary" for one in prompts | {f"answers/{name}" for name in DATASETS}}
    assert curves | texts <= tensors
    assert set(events.PluginTagToContent("pr_curves")) == curves
    tag = "prompt/synthetic_bp4d/presence/text_summary"
    said = events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
    assert "[image: " in said
    assert "AU12 lip corner puller" in said
    marked = "".join(part.partition("⟧")[0] for part in said.partition(":\n\n")[2].split("⟦")[1:])
    assert "".join(marked.split()).startswith("AU1:")
    assert marked.count("AU") == 12


def test_runs_compare_by_their_config(events: EventAccumulator) -> None:
    content = events.PluginTagToContent("hparams")
    assert {"_hparams_/experiment", "_hparams_/session_start_info"} <= set(content)
    start = content["_hparams_/session_start_info"]
    for key in (b"optim.lr_lora", b"data.batch_size", b"data.datasets.synthetic_bp4d.fold"):
        assert key in start
    assert b"runs_dir" not in start
    assert b"faces.margin" not in start
    assert "final/val/synthetic_feafa/mae_macro" in events.Tags()["scalars"]


def test_licensed_faces_are_not_shown_unless_somebody_says_so() -> None:
    found: dict[str, Any] = {name: registry.load(name) for name in registry.BUILT_IN}
    shown = {name for name, module in found.items() if module.log_images}
    assert shown == set(DATASETS)
