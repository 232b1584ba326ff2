from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from aullava.models.llm import add_lora, load_llm, load_tokenizer
from aullava.text.grammar import AnswerForm
from aullava.text.parse import parse_answer
from aullava.text.question import QuestionStyle
from aullava.tiny_backbone.language import IGNORED, LanguageRecipe, NotedFaces, build_llm, train_llm
from aullava.tiny_backbone.tokenizer import AMOUNTS, train_tokenizer
from aullava.tiny_backbone.write import write_llm
from datamodules.action_units import FEAFA_AUS, Scale

RECIPE = LanguageRecipe(
    hidden=32, feed_forward=64, layers=2, heads=2, batch_size=2, steps=25, learning_rate=1e-2, warmup=3
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer()


def _text(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


@pytest.mark.parametrize("scale", Scale)
def test_the_answer_follows_from_the_notes(scale: Scale, tokenizer: PreTrainedTokenizerFast) -> None:
    texts = NotedFaces(tokenizer, seed=1)
    style = QuestionStyle(definitions=False)
    for _ in range(10):
        ids, begin = texts.text(FEAFA_AUS, scale, AnswerForm.NAMED, style)
        said = parse_answer(_text(tokenizer, ids[begin:]), FEAFA_AUS, scale, AnswerForm.NAMED)
        words = re.findall(rf" ({'|'.join(AMOUNTS)}) (A[UD]\S+?[LRTB]?)(?=\s)", _text(tokenizer, ids[:begin]))
        noted = {code: AMOUNTS.index(word) + 1 for word, code in words}
        level = np.array([noted.get(code, 0) for code in FEAFA_AUS])
        lowest, highest = {
            Scale.PRESENCE: (level >= 4, level >= 3),  # "marked" is half the way on, from either side
            Scale.LEVEL: (level, level),
            Scale.INTENSITY: ((level - 1) / 5, level / 5),
        }[scale]
        assert ((said >= lowest) & (said <= highest + 1e-6)).all()
        assert 0 < len(noted) < len(FEAFA_AUS)
        assert (said[level == 0] == 0).all()


@pytest.mark.parametrize("short", [0.0, 1.0])
def test_a_batch_parts_answers_from_the_rest(short: float, tokenizer: PreTrainedTokenizerFast) -> None:
    texts = NotedFaces(tokenizer, seed=2)
    for _ in range(5):
        ids, answers, rest = texts.batch(3, short)
        assert ids.shape == answers.shape == rest.shape
        is_text = ids != tokenizer.pad_token_id
        answered, other = answers != IGNORED, rest != IGNORED
        assert torch.equal(answered | other, is_text)
        assert not (answered & other).any()
        assert torch.equal(answers[answered], ids[answered])
        assert answered.any(1).all()
        assert (ids[:, 0] == tokenizer.bos_token_id).all()
        assert (ids == tokenizer.eos_token_id).sum(1).eq(1).all()


def test_texts_fit_the_context(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = NotedFaces(tokenizer, seed=3)
    assert max(texts.batch(2, 0.0)[0].shape[1] for _ in range(20)) <= LanguageRecipe().context


def test_the_loss_falls_and_the_folder_loads(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = train_llm(tokenizer, RECIPE, seed=4)
    torch.manual_seed(4)
    fresh = build_llm(RECIPE, tokenizer)
    ids, answers, _ = NotedFaces(tokenizer, seed=5).batch(2, 0.0)
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
        hidden=16, feed_forward=16, layers=1, heads=2, batch_size=1, steps=2, learning_rate=1e-2, warmup=1
    )
    states = [train_llm(tokenizer, recipe, seed).state_dict() for seed in (6, 6, 7)]
    equal = [all(torch.equal(states[0][key], other[key]) for key in states[0]) for other in states]
    assert equal == [True, True, False]
