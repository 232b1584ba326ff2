"""Causal language models of several families, through the Auto classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from aullava.models.adapters import add_lora
from aullava.models.llm import checkpoint_activations, load_llm, load_tokenizer
from aullava.models.projector import build_projector
from aullava.models.vision import load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import AUBatch
from datamodules.action_units import Scale
from tests.checkpoints import WIDTH, Backbone, build_collator, faces, run, trained
from tests.model_folders import DEPTH, FAMILIES, write_family


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    return str(folder), write_family(request.param, folder)


@pytest.fixture(scope="module")
def batch(backbone: Backbone) -> AUBatch:
    samples = [*faces(2, "AU1 AU2", Scale.PRESENCE), *faces(1, "AU12 AU4 AU9", Scale.INTENSITY)]
    return build_collator(backbone)(samples)


def whole_model(backbone: Backbone, llm: Any) -> FaceLanguageModel:
    vision = load_vision(backbone.vision)
    return FaceLanguageModel(vision, build_projector("linear", vision.dim, WIDTH), llm)


def test_logits_are_transformers_own(family: tuple[str, Any]) -> None:
    folder, theirs = family
    ids = torch.randint(5, 60, (2, 9))
    llm = load_llm(folder)
    assert not any(tensor.requires_grad for tensor in llm.parameters())
    with torch.no_grad():
        assert torch.equal(llm(input_ids=ids).logits, theirs(input_ids=ids).logits)
    assert load_tokenizer(folder).eos_token == "</s>"


def test_it_trains_and_decodes_inside_the_whole_model(
    family: tuple[str, Any], backbone: Backbone, batch: AUBatch
) -> None:
    model = whole_model(backbone, add_lora(load_llm(family[0]), 2, 4, 0.0, ["all-linear"])).train()
    loss = run(model, batch).loss
    assert loss is not None
    torch.autograd.backward(loss)
    still = [n for n, t in model.named_parameters() if "lora_B" in n and (t.grad is None or not t.grad.any())]
    assert still == []
    adapted = {name.split(".lora_")[0] for name in model.trainable_state_dict() if "lora_" in name}
    assert len(adapted) >= 4 * DEPTH
    assert not any("lm_head" in name or "embed_out" in name for name in adapted)
    model.eval()
    full = trained(model)(batch.pixel_values, batch.input_ids, batch.image_mask, batch.attention_mask).logits
    row = slice(2, 3)  # the longest has no padding
    logits, state = model.prefill(
        batch.pixel_values[row],
        batch.input_ids[row, :-3],
        batch.image_mask[row, :-3],
        batch.attention_mask[row, :-3],
    )
    following = model.advance(batch.input_ids[row, -3:-1], state)
    torch.testing.assert_close(logits[0], full[2, -4], rtol=0, atol=1e-4)
    torch.testing.assert_close(following[0], full[2, -2], rtol=0, atol=1e-4)


def test_recomputing_activations_changes_no_gradient(
    family: tuple[str, Any], backbone: Backbone, batch: AUBatch
) -> None:
    llm = load_llm(family[0])
    model = trained(whole_model(backbone, add_lora(llm, 2, 4, 0.0, ["all-linear"]))).train()
    weights = [tensor for tensor in model.parameters() if tensor.requires_grad]
    saved: list[int] = []

    def gradients() -> tuple[torch.Tensor, ...]:
        sizes: list[int] = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = run(model, batch).loss
        saved.append(sum(sizes))
        assert loss is not None
        return torch.autograd.grad(loss, weights)

    plain = gradients()
    checkpoint_activations(llm)
    again = gradients()
    assert saved[1] < saved[0] / 2
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)  # only the plain one shares a beginning


def test_branches_do_not_see_each_other(family: tuple[str, Any], backbone: Backbone) -> None:
    whole_model(backbone, load_llm(family[0])).eval().check_branches()
