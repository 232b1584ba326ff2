from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from aullava.image_words import STANDARD
from aullava.models.adapters import add_lora
from aullava.models.llm import load_llm, load_tokenizer
from aullava.text.batch import UNSUPERVISED
from aullava.text.grammar import AnswerForm
from aullava.text.parse import parse_answer
from aullava.text.question import EXPECTED
from aullava.tiny_backbone.impressions import PLACES
from aullava.tiny_backbone.language import Cycle, LanguageRecipe, build_llm, train_llm
from aullava.tiny_backbone.texts import TextBatch, Texts
from aullava.tiny_backbone.tokenizer import train_tokenizer
from aullava.tiny_backbone.write import write_llm
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, Scale
from datamodules.synthetic import code_amount

RECIPE = LanguageRecipe(
    hidden=32, feed_forward=64, layers=2, heads=2, batch_size=2, cycles=(Cycle(25, 1e-2),), warmup=3
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer()


def _text(tokenizer: PreTrainedTokenizerFast, ids: torch.Tensor) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


@pytest.mark.parametrize("short", [0.0, 1.0])
def test_a_batch_parts_answers_questions_and_the_image(
    short: float, tokenizer: PreTrainedTokenizerFast
) -> None:
    texts = Texts(tokenizer, seed=2)
    for _ in range(5):
        batch = texts.batch(3, short)
        is_text = (batch.ids != tokenizer.pad_token_id) | batch.image
        answered, other = batch.answers != UNSUPERVISED, batch.rest != UNSUPERVISED
        assert torch.equal(answered | other | batch.image, is_text)
        assert not ((answered & other) | (answered & batch.image) | (other & batch.image)).any()
        assert torch.equal(batch.answers[answered], batch.ids[answered])
        assert answered.any(1).all()
        assert (batch.image.sum(1) == PLACES).all()
        assert (batch.ids[:, 0] == tokenizer.bos_token_id).all()
        assert (batch.ids == tokenizer.eos_token_id).sum(1).eq(1).all()


def test_the_answer_states_the_amounts(tokenizer: PreTrainedTokenizerFast) -> None:
    texts, seen = Texts(tokenizer, seed=1), set[Scale]()
    while len(seen) < 3:
        batch = texts.batch(4, 0.0)
        codes = [code for code, asked in zip(STANDARD, batch.asked[0], strict=True) if asked]
        scale, aus, form = _read(tokenizer, batch)
        seen.add(scale)
        assert set(codes) == set(aus)
        for row in range(4):
            said = parse_answer(
                _text(tokenizer, batch.ids[row][batch.answers[row] != UNSUPERVISED]), aus, scale, form
            )
            true = [code_amount(batch.amounts[row, STANDARD.index(code)], scale) for code in aus]
            assert said == pytest.approx(true)


def _read(tokenizer: PreTrainedTokenizerFast, batch: TextBatch) -> tuple[Scale, tuple[str, ...], AnswerForm]:
    """What a batch asks: found from its own text."""
    text = _text(tokenizer, batch.ids[0][batch.rest[0] != UNSUPERVISED])
    (scale,) = (scale for scale, words in EXPECTED.items() if words in text)
    aus = next(aus for aus in (BP4D_AUS, DISFA_AUS, FEAFA_AUS) if all(code in text for code in aus))
    answer = _text(tokenizer, batch.ids[0][batch.answers[0] != UNSUPERVISED])
    return scale, aus, AnswerForm.NAMED if "A" in answer else AnswerForm.LIST


def test_texts_fit_the_context(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = Texts(tokenizer, seed=3)
    assert max(texts.batch(2, 0.0).ids.shape[1] for _ in range(20)) <= LanguageRecipe().context


def test_the_loss_falls_and_the_folder_loads(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = train_llm(tokenizer, RECIPE, seed=4)
    torch.manual_seed(4)
    fresh = build_llm(RECIPE, tokenizer)
    batch = Texts(tokenizer, seed=5).batch(2, 0.0)
    ids, answers = batch.ids, batch.answers
    with torch.no_grad():
        losses = [float(one(input_ids=ids, labels=answers).loss) for one in (model, fresh)]
    assert losses[0] < 0.6 * losses[1]

    write_llm(model, tokenizer, tmp_path / "llm")
    loaded = load_llm(str(tmp_path / "llm"))
    read = cast(PreTrainedTokenizerFast, load_tokenizer(str(tmp_path / "llm")))
    assert read.encode("AU12: 0.35") == tokenizer.encode("AU12: 0.35")
    with torch.no_grad():
        again = float(loaded(input_ids=ids, labels=answers).loss)
    assert again == pytest.approx(losses[0], rel=0.02)  # written in half precision
    assert add_lora(loaded, 4, 8, 0.0, ["q_proj"]).config.max_position_embeddings == RECIPE.context


def test_the_same_seed_gives_the_same_language_model(tokenizer: PreTrainedTokenizerFast) -> None:
    recipe = LanguageRecipe(
        hidden=16,
        feed_forward=16,
        layers=1,
        heads=2,
        batch_size=1,
        cycles=(Cycle(2, 1e-2), Cycle(1, 1e-2, crowd=1)),
        warmup=1,
    )
    states = [train_llm(tokenizer, recipe, seed).state_dict() for seed in (6, 6, 7)]
    equal = [all(torch.equal(states[0][key], other[key]) for key in states[0]) for other in states]
    assert equal == [True, True, False]
