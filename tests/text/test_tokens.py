"""The grammar in token ids: exactly the answers, one token per decision."""

import numpy as np
import pytest

from aullava.text.errors import AnswerError, TextError
from aullava.text.grammar import AnswerForm, answer_text
from aullava.text.tokens import FixedToken, SlotToken, TokenGrammar, Tokenizer, eos_id
from datamodules.action_units import BP4D_AUS, Scale, codes
from tests.text.helpers import byte_level_bpe, written

FORMATS = [(scale, form) for scale in Scale for form in AnswerForm]


def random_values(scale: Scale, count: int, rng: np.random.Generator) -> np.ndarray:
    amounts = rng.integers(0, {Scale.PRESENCE: 2, Scale.LEVEL: 6, Scale.INTENSITY: 101}[scale], count)
    return (amounts / (100 if scale is Scale.INTENSITY else 1)).astype(np.float32)


@pytest.mark.parametrize(("scale", "form"), FORMATS)
def test_round_trip_through_ids(tokenizer: Tokenizer, scale: Scale, form: AnswerForm) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        aus = tuple(rng.permutation(codes())[: rng.integers(1, 25)].tolist())
        values = random_values(scale, len(aus), rng)
        if (form, scale) == (AnswerForm.COMPACT, Scale.INTENSITY):
            values = values.clip(max=np.float32(0.99))
        grammar = TokenGrammar.compile(tokenizer, aus, scale, form)
        ids = grammar.encode(values)
        assert np.array_equal(grammar.decode(ids), values)
        assert grammar.text(ids) == answer_text(aus, scale, values, form)
        assert written(tokenizer, ids) == grammar.text(ids) + "</s>"


@pytest.mark.parametrize(("scale", "form"), FORMATS)
def test_any_walk_along_the_allowed_ids_is_an_answer(
    tokenizer: Tokenizer, scale: Scale, form: AnswerForm
) -> None:
    rng = np.random.default_rng(5)
    grammar = TokenGrammar.compile(tokenizer, ("AU1", "AU12L", "AD34"), scale, form)
    for _ in range(100):
        ids: list[int] = []
        for position in range(len(grammar.steps)):
            ids.append(int(rng.choice(grammar.allowed_ids(position, ids))))
        values = grammar.decode(ids)
        assert all(scale.allows(value) for value in values)
        assert grammar.encode(values) == tuple(ids)


def test_one_leaves_no_choice_for_its_decimals_only(tokenizer: Tokenizer) -> None:
    grammar = TokenGrammar.compile(tokenizer, ("AU1", "AU2"), Scale.INTENSITY, AnswerForm.LIST)
    ids = grammar.encode([1.0, 0.0])
    choices = {
        (step.slot.au, step.slot.role): len(grammar.allowed_ids(position, ids[:position]))
        for position, step in enumerate(grammar.steps)
        if isinstance(step, SlotToken)
    }
    assert choices == {
        ("AU1", "units"): 2, ("AU1", "tenths"): 1, ("AU1", "hundredths"): 1,
        ("AU2", "units"): 2, ("AU2", "tenths"): 10, ("AU2", "hundredths"): 10,
    }  # fmt: skip


def test_steps_are_fixed_ids_slots_and_the_end(tokenizer: Tokenizer) -> None:
    grammar = TokenGrammar.compile(tokenizer, BP4D_AUS, Scale.PRESENCE, AnswerForm.NAMED)
    decisions = [step for step in grammar.steps if isinstance(step, SlotToken)]
    assert [step.slot.au for step in decisions] == list(BP4D_AUS)
    assert all(grammar.steps[step.position] is step for step in decisions)
    assert [written(tokenizer, step.ids) for step in decisions] == ["01"] * 12
    assert grammar.steps[-1] == FixedToken(eos_id(tokenizer))


@pytest.mark.parametrize("scale", Scale)
def test_ids_off_the_grammar_are_refused(tokenizer: Tokenizer, scale: Scale) -> None:
    grammar = TokenGrammar.compile(tokenizer, ("AU1", "AU2"), scale, AnswerForm.NAMED)
    ids = grammar.encode([1.0, 0.0])
    for wrong in (ids[:-1], (*ids, ids[-1]), ()):
        with pytest.raises(AnswerError, match=f"has {len(wrong)} tokens where {len(ids)} must stand"):
            grammar.decode(wrong)
    for position in range(len(ids)):
        wrong = (*ids[:position], 9999, *ids[position + 1 :])
        with pytest.raises(AnswerError, match=f"token 9999 at position {position}"):
            grammar.decode(wrong)


def test_above_one_is_refused_in_ids(tokenizer: Tokenizer) -> None:
    grammar = TokenGrammar.compile(tokenizer, ("AU1",), Scale.INTENSITY, AnswerForm.LIST)
    one, less = grammar.encode([1.0]), grammar.encode([0.35])
    units = next(step.position for step in grammar.steps if isinstance(step, SlotToken))
    with pytest.raises(AnswerError, match="where it may not stand"):
        grammar.decode((*one[: units + 1], *less[units + 1 :]))


def test_choice_that_is_not_one_token_is_refused_by_name() -> None:
    spaced = byte_level_bpe(prefix_space=True, merges=0, eos_token="</s>")
    with pytest.raises(TextError, match=r"'small-bpe' has no single token of its own for '0'.* AU7 "):
        TokenGrammar.compile(spaced, ("AU7",), Scale.LEVEL, AnswerForm.LIST)


def test_choices_that_share_the_unknown_token_are_refused() -> None:
    class Deaf:
        """Every text is one unknown token."""

        name_or_path = "deaf"
        bos_token_id = None
        eos_token_id = 1
        pad_token_id = None

        def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
            return [0]

    with pytest.raises(TextError, match="'deaf' has no single token of its own for '1'"):
        TokenGrammar.compile(Deaf(), ("AU7",), Scale.PRESENCE, AnswerForm.LIST)


def test_tokenizer_without_an_end_is_refused_by_name() -> None:
    endless = byte_level_bpe(bos_token="<s>")
    with pytest.raises(TextError, match="'small-bpe' has no end-of-sequence token"):
        TokenGrammar.compile(endless, ("AU7",), Scale.PRESENCE, AnswerForm.LIST)
