from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from lightning import Trainer
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from aullava.text.batch import AUBatch
from aullava.training.callbacks import throughput
from aullava.training.callbacks.answers import SampleAnswers
from aullava.training.callbacks.checkpoints import SaveCheckpoints
from aullava.training.callbacks.progress import StepProgress
from aullava.training.callbacks.throughput import Throughput
from aullava.training.checkpoint import WEIGHTS, read_weights
from aullava.training.errors import RunError
from aullava.training.module import Asked, AULightningModule
from aullava.training.snapshots import newest_snapshot
from tests.checkpoints import Backbone
from tests.text.helpers import Face
from tests.training.learning import (
    INTENSITY,
    PRESENCE,
    batch_of,
    events_of,
    faces_of,
    loader,
    module_of,
    prompts_of,
    trainer_of,
)


class Rows(Dataset[Face]):
    """Faces of a dataset that does or does not allow them to be shown."""

    def __init__(self, asked: Asked, log_images: bool, count: int = 3) -> None:
        self.faces = faces_of(asked, count)
        self.module = SimpleNamespace(log_images=log_images, name=asked.name)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, number: int) -> Face:
        return self.faces[number]


def _loader(module: AULightningModule, asked: Asked, log_images: bool) -> DataLoader[Face]:
    return DataLoader(Rows(asked, log_images), batch_size=2, collate_fn=module.collator.prompts)


def test_sample_answers_are_texts_and_pictures(backbone: Backbone, tmp_path: Path) -> None:
    module = module_of(backbone, 1)
    loaders = [_loader(module, PRESENCE, True), _loader(module, INTENSITY, True)]
    trainer_of(1, [SampleAnswers(count=2)], tmp_path).validate(module, dataloaders=loaders, verbose=False)

    events = events_of(tmp_path)
    # The faces name one dataset; what is asked of it in two formats goes to two places.
    names = [PRESENCE.name, INTENSITY.name]
    assert events.Tags()["tensors"] == [f"answers/{name}/text_summary" for name in names]
    assert events.Tags()["images"] == [f"faces/{name}" for name in names]
    texts = [
        event.tensor_proto.string_val[0].decode()
        for name in names
        for event in events.Tensors(f"answers/{name}/text_summary")
    ]
    assert texts[0].startswith("**presence-0-0** AU1: ")
    assert "**presence-0-1** AU1: " in texts[0]
    assert "presence-0-2" not in texts[0]  # only the first batch, and no more than `count`
    assert texts[1].startswith("**intensity-0-0** AU4: ")
    pictures = [
        Image.open(io.BytesIO(event.encoded_image_string))
        for name in names
        for event in events.Images(f"faces/{name}")
    ]
    assert all(np.asarray(picture).std() > 10 for picture in pictures)


def test_faces_that_may_not_be_shown_are_withheld(backbone: Backbone, tmp_path: Path) -> None:
    module = module_of(backbone, 1)
    loaders = [_loader(module, PRESENCE, False), _loader(module, INTENSITY, False)]
    trainer_of(1, [SampleAnswers()], tmp_path).validate(module, dataloaders=loaders, verbose=False)
    events = events_of(tmp_path)
    assert len(events.Tags()["tensors"]) == 2
    assert events.Tags()["images"] == []


def test_sample_answers_need_a_place_to_go(backbone: Backbone) -> None:
    module = module_of(backbone, 1)
    loaders = [_loader(module, PRESENCE, True), _loader(module, INTENSITY, True)]
    trainer_of(1, [SampleAnswers()]).validate(module, dataloaders=loaders, verbose=False)
    assert module.scores  # validated, and nothing was logged anywhere


class Clock:
    """Says what the test tells it to."""

    def __init__(self, times: list[float]) -> None:
        self.times: Iterator[float] = iter(times)

    def perf_counter(self) -> float:
        return next(self.times)


def test_throughput_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each batch: begin, end. The first is left out; then waits of 1 and (after a validation) none.
    monkeypatch.setattr(throughput, "time", Clock([0.0, 5.0, 6.0, 8.0, 18.0, 20.0]))
    watch, module = Throughput(skip=1), cast(Any, None)
    logged: list[dict[str, float]] = []
    logger = SimpleNamespace(log_metrics=lambda metrics, step: logged.append(metrics | {"step": step}))
    trainer = cast(Trainer, SimpleNamespace(logger=logger, log_every_n_steps=3, global_step=7))
    batch = cast(
        AUBatch,
        SimpleNamespace(pixel_values=torch.zeros(4, 3, 2, 2), attention_mask=torch.tensor([[1, 1, 0]] * 4)),
    )
    for number in range(3):
        if number == 2:
            watch.on_validation_start(trainer, module)
        watch.on_train_batch_start(trainer, module, batch, number)
        watch.on_train_batch_end(trainer, module, None, batch, number)
    # Two batches of 4 images and 8 tokens, 2 s each, and 1 s of waiting.
    assert watch.rates() == {
        "throughput/images_per_second": pytest.approx(8 / 5),
        "throughput/tokens_per_second": pytest.approx(16 / 5),
        "throughput/data_wait_share": pytest.approx(1 / 5),
    }
    assert logged == [{**watch.rates(), "step": 7}]


def test_throughput_is_logged_during_a_fit(backbone: Backbone, tmp_path: Path) -> None:
    module = module_of(backbone, 4)
    batches = [batch_of(module, PRESENCE)] * 4
    trainer_of(4, [Throughput(skip=2)], tmp_path, log_every_n_steps=2).fit(
        module, train_dataloaders=loader(batches)
    )
    events = events_of(tmp_path)
    for name in ("images_per_second", "tokens_per_second", "data_wait_share"):
        assert [event.step for event in events.Scalars(f"throughput/{name}")] == [4]
    assert events.Scalars("throughput/images_per_second")[0].value > 0
    assert 0 <= events.Scalars("throughput/data_wait_share")[0].value < 1


def test_weights_are_saved_after_a_validation_and_at_the_end(backbone: Backbone, tmp_path: Path) -> None:
    saved: list[int] = []

    class Counted(SaveCheckpoints):
        def _save(self, trainer: Trainer, pl_module: Any, validated: bool = False) -> None:
            super()._save(trainer, pl_module, validated)
            saved.append(trainer.global_step)

    module = module_of(backbone, 3)
    batches = [batch_of(module, PRESENCE, 1)] * 3
    loaders = [loader([prompts_of(module, PRESENCE, 1)]), loader([prompts_of(module, INTENSITY, 1)])]
    trainer = trainer_of(
        3,
        [Counted(tmp_path, 100, {}, "", 4)],
        num_sanity_val_steps=1,
        val_check_interval=2,
        check_val_every_n_epoch=None,
    )
    trainer.fit(module, train_dataloaders=loader(batches), val_dataloaders=loaders)
    assert saved == [2, 3]  # the sanity check is no validation
    assert (tmp_path / WEIGHTS).is_file()


def test_in_parts_nothing_is_put_together_before_the_end(backbone: Backbone, tmp_path: Path) -> None:
    class Watched(SaveCheckpoints):
        def _save(self, trainer: Trainer, pl_module: Any, validated: bool = False) -> None:
            super()._save(trainer, pl_module, validated)
            assert (tmp_path / WEIGHTS).is_file() == (trainer.global_step == 3)
            if trainer.global_step < 3:
                with pytest.raises(RunError, match="does not exist yet: go on with `aullava resume"):
                    read_weights(tmp_path)

    module = module_of(backbone, 3)
    batches = [batch_of(module, PRESENCE, 1)] * 3
    trainer_of(3, [Watched(tmp_path, 1, {}, "", 4, sharded=True)]).fit(module, loader(batches))
    names = sorted(path.name[:20] for path in (tmp_path / WEIGHTS).parent.glob("step-*.safetensors"))
    assert names == ["step-00000002-part-1", "step-00000003-part-1"]  # of the two newest
    found, last = newest_snapshot(tmp_path), read_weights(tmp_path)
    assert found.step == 3
    assert found.weights.keys() == last.keys() == module.model.trainable_state_dict().keys()
    assert all(torch.equal(last[name], tensor) for name, tensor in found.weights.items())
    assert found.optimizer["state"][0].keys() == {"step", "exp_avg", "exp_avg_sq"}


def test_the_bar_counts_to_the_last_step(backbone: Backbone) -> None:
    module, bar = module_of(backbone, 2), StepProgress(refresh_rate=1)
    batches = [batch_of(module, PRESENCE, 1)] * 4
    trainer = trainer_of(2, [bar], accumulate_grad_batches=2, enable_progress_bar=True)
    trainer.fit(module, train_dataloaders=loader(batches))
    assert (bar.train_progress_bar.n, bar.train_progress_bar.total) == (4, 4)
