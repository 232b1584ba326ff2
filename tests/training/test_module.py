from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from aullava.config.schema import LossWeightConfig
from aullava.models.vlm import FaceLanguageModel
from aullava.text.answer import Answer
from aullava.text.batch import UNSUPERVISED
from aullava.training.module import AULightningModule, answered_values, loss_by_format
from datamodules.action_units import UNKNOWN, Scale
from tests.checkpoints import Backbone, build_collator, build_model, run
from tests.checkpoints import faces as several
from tests.text.helpers import face
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

STEPS = 12


class Watch(Callback):
    """Notes the losses, and the largest gradient of each tensor in the first step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.gradients: dict[str, float] = {}

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for name, tensor in pl_module.named_parameters():
            if not self.losses and tensor.grad is not None:
                self.gradients[name] = float(tensor.grad.abs().max())

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        self.losses.append(float(outputs["loss"]))


def _frozen(model: FaceLanguageModel) -> dict[str, Tensor]:
    """Copies of everything that must not move, buffers included."""
    state = {name: tensor for name, tensor in model.named_parameters() if not tensor.requires_grad}
    return {name: tensor.clone() for name, tensor in (state | dict(model.named_buffers())).items()}


@pytest.fixture(scope="module")
def fitted(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One repeated batch, learnt for a few steps."""
    torch.manual_seed(1)
    module, watch, folder = module_of(backbone, STEPS), Watch(), tmp_path_factory.mktemp("fit")
    frozen = _frozen(module.model)
    before = {name: tensor.clone() for name, tensor in module.model.trainable_state_dict().items()}
    batch = batch_of(module, PRESENCE)
    trainer_of(STEPS, [watch], folder).fit(module, train_dataloaders=loader([batch] * STEPS))
    return {"module": module, "watch": watch, "frozen": frozen, "before": before, "folder": folder}


def test_the_loss_falls_on_a_repeated_batch(fitted: dict[str, Any]) -> None:
    losses = fitted["watch"].losses
    assert len(losses) == STEPS
    assert losses[-1] < 0.5 * losses[0]


def test_gradients_reach_all_of_lora_b_and_the_projector(fitted: dict[str, Any]) -> None:
    trained = [name for name, tensor in fitted["module"].named_parameters() if tensor.requires_grad]
    reached = {name for name, size in fitted["watch"].gradients.items() if size > 0}
    wanted = {name for name in trained if "lora_B" in name or "projector" in name}
    # LoRA's B begins as zero, so that nothing can reach A before the first step.
    assert reached == wanted
    assert len(wanted) == 2 * 7 + 2  # two layers of seven linear maps, a weight and a bias
    assert set(fitted["watch"].gradients) == set(trained)  # none is computed for what is frozen


def test_all_that_is_trainable_moves_and_what_is_frozen_does_not(fitted: dict[str, Any]) -> None:
    model = fitted["module"].model
    after = model.trainable_state_dict()
    assert [name for name, tensor in fitted["before"].items() if torch.equal(tensor, after[name])] == []
    still = dict(model.named_parameters()) | dict(model.named_buffers())
    assert [name for name, tensor in fitted["frozen"].items() if not torch.equal(tensor, still[name])] == []


def test_losses_are_logged_for_each_format(fitted: dict[str, Any]) -> None:
    events = events_of(fitted["folder"])
    logged = [event.value for event in events.Scalars("train/loss")]
    assert logged == pytest.approx(fitted["watch"].losses)
    assert [event.value for event in events.Scalars("train/loss/presence")] == logged
    assert "train/loss/intensity" not in events.Tags()["scalars"]


def test_losses_of_formats_in_one_batch_are_those_of_each_alone(backbone: Backbone) -> None:
    model, collate = build_model(backbone), build_collator(backbone)
    samples = [*several(2, "AU1 AU2", Scale.PRESENCE), *several(2, "AU12 AU4 AU9", Scale.INTENSITY)]
    mixed = collate([samples[0], samples[2], samples[1], samples[3]])
    losses = run(model, mixed).losses
    assert losses is not None
    sums = loss_by_format(losses, mixed, (Scale.PRESENCE, Scale.INTENSITY))
    for scale, (loss, tokens) in zip((Scale.PRESENCE, Scale.INTENSITY), sums, strict=True):
        alone = collate([sample for sample in samples if sample.scale is scale])
        assert int(tokens) == int((alone.labels != UNSUPERVISED).sum())
        torch.testing.assert_close(loss / tokens, run(model, alone).loss, rtol=0, atol=1e-5)


def test_weights_multiply_the_loss_of_their_format_and_not_the_record(
    backbone: Backbone, tmp_path: Path
) -> None:
    module, watch = module_of(backbone, 1), Watch()
    module.optim.loss_weight = LossWeightConfig(presence=0.5, intensity=3.0)
    samples = [*several(2, "AU1 AU2", Scale.PRESENCE), *several(2, "AU12 AU4 AU9", Scale.INTENSITY)]
    batch = module.collator(samples)
    before = run(module.model, batch)
    assert before.loss is not None
    assert before.losses is not None
    sums = loss_by_format(before.losses, batch, (Scale.PRESENCE, Scale.INTENSITY))
    (presence, first), (intensity, second) = sums.tolist()

    trainer_of(1, [watch], tmp_path).fit(module, train_dataloaders=loader([batch]))
    assert watch.losses == pytest.approx([(0.5 * presence + 3.0 * intensity) / (first + second)], rel=1e-5)
    events = events_of(tmp_path)
    assert events.Scalars("train/loss")[0].value == pytest.approx(before.loss.item(), rel=1e-5)
    assert events.Scalars("train/loss/presence")[0].value == pytest.approx(presence / first, rel=1e-5)
    assert events.Scalars("train/loss/intensity")[0].value == pytest.approx(intensity / second, rel=1e-5)


def test_the_gradient_grows_as_its_format_weighs(backbone: Backbone) -> None:
    gradients: list[dict[str, float]] = []
    for weight in (1.0, 3.0):
        torch.manual_seed(1)
        module, watch = module_of(backbone, 1), Watch()
        module.optim.loss_weight = LossWeightConfig(intensity=weight)
        trainer_of(1, [watch]).fit(module, train_dataloaders=loader([batch_of(module, INTENSITY)]))
        gradients.append(watch.gradients)
    assert any(gradients[0].values())
    assert gradients[1] == pytest.approx({name: 3 * size for name, size in gradients[0].items()}, rel=1e-4)


def test_validation_scores_each_dataset_under_its_own_name(backbone: Backbone, tmp_path: Path) -> None:
    module = module_of(backbone, 1)
    loaders = [
        loader([prompts_of(module, asked, 3), prompts_of(module, asked, 2)])
        for asked in (PRESENCE, INTENSITY)
    ]
    trainer = trainer_of(1, folder=tmp_path)
    trainer.validate(module, dataloaders=loaders, verbose=False)

    assert {key.split("/")[1] for key in module.scores} == {"faces_presence", "faces_intensity"}
    assert {f"val/faces_presence/f1/{code}" for code in PRESENCE.aus} <= set(module.scores)
    assert "val/faces_intensity/pcc_macro" in module.scores
    assert "val/faces_intensity/f1_macro" not in module.scores
    assert module.scores["val/faces_presence/support/AU1"] == 5
    assert module.scores["val/faces_intensity/invalid_rate"] == 0
    logged = events_of(tmp_path).Tags()["scalars"]
    assert set(logged) - {"epoch"} == {key for key, value in module.scores.items() if np.isfinite(value)}


def test_scores_of_one_validation_do_not_leak_into_the_next(backbone: Backbone) -> None:
    module = module_of(backbone, 1)
    loaders = [loader([prompts_of(module, PRESENCE, 3)]), loader([prompts_of(module, INTENSITY, 3)])]
    for stage in ("validate", "test"):
        getattr(trainer_of(1), stage)(module, dataloaders=loaders, verbose=False)
        prefix = {"validate": "val", "test": "test"}[stage]
        assert module.scores[f"{prefix}/faces_presence/support/AU1"] == 3
        assert all(key.startswith(f"{prefix}/") for key in module.scores)


def test_a_checkpoint_holds_only_what_is_trained(backbone: Backbone, tmp_path: Path) -> None:
    module = module_of(backbone, 2)
    trainer = trainer_of(2)
    trainer.fit(module, train_dataloaders=loader([batch_of(module, PRESENCE)] * 2))
    trainer.save_checkpoint(tmp_path / "last.ckpt")

    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    mine = {f"model.{name}": tensor for name, tensor in module.model.trainable_state_dict().items()}
    assert set(saved["state_dict"]) == set(mine)
    assert all(torch.equal(saved["state_dict"][name], tensor) for name, tensor in mine.items())
    moments = saved["optimizer_states"][0]["state"]
    assert len(moments) == len(mine)

    torch.manual_seed(2)
    other = module_of(backbone, 3)
    trainer_of(3).fit(
        other,
        train_dataloaders=loader([batch_of(other, PRESENCE)] * 3),
        ckpt_path=str(tmp_path / "last.ckpt"),
    )
    assert other.trainer.global_step == 3


def test_answers_go_to_the_columns_they_were_asked_for(backbone: Backbone) -> None:
    collator = build_collator(backbone)
    samples = [
        face("a", "AU1 AU2 AU4", [1, UNKNOWN, 0], Scale.PRESENCE),
        face("b", "AU1 AU2 AU4 AU12", [0, 1, UNKNOWN, UNKNOWN], Scale.PRESENCE),
    ]
    pictures = faces_of(PRESENCE, 2)
    for sample, picture in zip(samples, pictures, strict=True):
        object.__setattr__(sample, "image", picture.image)
    batch = collator.prompts(samples)
    probs = np.ones(2, np.float32)
    answers = [
        Answer("a", ("AU1", "AU4"), Scale.PRESENCE, "", np.array([1, 0], np.float32), True, probs),
        Answer("b", ("AU1", "AU2"), Scale.PRESENCE, "", np.full(2, UNKNOWN, np.float32), False, probs),
    ]
    values = answered_values(answers, batch)
    assert values.tolist() == [[1, UNKNOWN, 0, UNKNOWN], [UNKNOWN] * 4]
    assert batch.asked == (("AU1", "AU4"), ("AU1", "AU2"))


def test_the_schedule_moves_with_every_optimiser_step(backbone: Backbone) -> None:
    rates: list[float] = []

    class Rates(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    module = module_of(backbone, 2, rate=1.0)
    batches = [batch_of(module, PRESENCE, 1)] * 4
    trainer_of(2, [Rates()], accumulate_grad_batches=2).fit(module, train_dataloaders=loader(batches))
    assert rates == pytest.approx([1.0, 1.0, 1.0, 1.0])  # step 0 of 2 is all of the warm-up, step 1 its top
    module = module_of(backbone, 4, rate=1.0)
    rates.clear()
    trainer_of(4, [Rates()]).fit(module, train_dataloaders=loader(batches))
    assert rates == pytest.approx([1.0, 1.0, 0.75, 0.25])
    assert isinstance(module, AULightningModule)
