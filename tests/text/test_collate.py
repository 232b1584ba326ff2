"""Batches: what is asked, what is supervised, how it is padded."""

import pickle
from collections.abc import Callable

import pytest
import torch

from aullava.text import collate
from aullava.text.batch import UNSUPERVISED, AUBatch, PromptBatch
from aullava.text.collate import Collator
from aullava.text.errors import ContextLengthError, NoSupervisionError, TextError
from aullava.text.grammar import AnswerForm
from aullava.text.question import Order, QuestionStyle
from aullava.text.tokens import Tokenizer
from datamodules.action_units import FEAFA_AUS, UNKNOWN, Scale
from tests.text.helpers import IMAGE_TOKENS, SIZE, Face, byte_level_bpe, face, preprocess, written

PRESENCE = face("a", "AU1 AU2 AU12", [0, UNKNOWN, 1], Scale.PRESENCE)
LEVEL = face("b", "AU4", [3], Scale.LEVEL)
INTENSITY = Face("c", FEAFA_AUS, torch.linspace(0, 1, 24).numpy(), Scale.INTENSITY)
FACES = [PRESENCE, LEVEL, INTENSITY]


def test_supervised_positions_are_the_answer_and_its_end(tokenizer: Tokenizer, collator: Collator) -> None:
    batch = collator(FACES)
    answers = [written(tokenizer, labels[labels != UNSUPERVISED]) for labels in batch.labels]
    assert answers[:2] == ["AU1: 0, AU12: 1</s>", "AU4: 3</s>"]
    assert answers[2].startswith("AU43L: 0.00, AU43R: 0.04, ")
    assert answers[2].endswith(", AU9: 1.00</s>")
    supervised = batch.labels != UNSUPERVISED
    assert torch.equal(batch.labels[supervised], batch.input_ids[supervised])
    for row, length in enumerate(batch.prompt_lengths.tolist()):
        answer_end = int(batch.attention_mask[row].sum())
        assert supervised[row].nonzero().flatten().tolist() == list(range(length, answer_end))


def test_unknown_labels_are_neither_asked_nor_answered_but_kept(
    tokenizer: Tokenizer, collator: Collator
) -> None:
    batch = collator(FACES)
    text = written(tokenizer, batch.input_ids[0])
    assert "AU1 inner brow raiser" in text
    assert "AU2" not in text
    assert batch.asked[0] == ("AU1", "AU12")
    assert batch.aus[0] == ("AU1", "AU2", "AU12")
    assert batch.targets.shape == (3, 24)
    assert batch.targets[0].tolist() == [0, UNKNOWN, 1] + [UNKNOWN] * 21
    assert batch.targets[1].tolist() == [3] + [UNKNOWN] * 23
    assert batch.targets[2].tolist() == INTENSITY.labels.tolist()


def test_shapes_types_and_names(collator: Collator) -> None:
    batch = collator(FACES)
    length = int(batch.attention_mask.sum(1).max())
    for tensor, dtype in [
        (batch.input_ids, torch.int64),
        (batch.image_mask, torch.bool),
        (batch.attention_mask, torch.int64),
        (batch.labels, torch.int64),
    ]:
        assert tensor.shape == (3, length)
        assert tensor.dtype == dtype
    assert batch.pixel_values.shape == (3, 3, SIZE, SIZE)
    assert batch.pixel_values.dtype == batch.targets.dtype == torch.float32
    assert batch.prompt_lengths.dtype == torch.int64
    assert batch.scales == (Scale.PRESENCE, Scale.LEVEL, Scale.INTENSITY)
    assert batch.sample_ids == ("a", "b", "c")
    assert batch.datasets == ("synthetic",) * 3
    assert batch.subjects == ("synthetic/p1",) * 3


@pytest.mark.parametrize("order", Order)
def test_image_places(tokenizer: Tokenizer, order: Order) -> None:
    style = QuestionStyle(order)
    batch = Collator(tokenizer, style, AnswerForm.LIST, IMAGE_TOKENS, preprocess, 2048)(FACES)
    assert batch.image_mask.sum(1).tolist() == [IMAGE_TOKENS] * 3
    assert set(batch.input_ids[batch.image_mask].tolist()) == {tokenizer.pad_token_id}
    assert set(batch.attention_mask[batch.image_mask].tolist()) == {1}
    assert set(batch.labels[batch.image_mask].tolist()) == {UNSUPERVISED}
    assert set(batch.input_ids[:, 0].tolist()) == {tokenizer.bos_token_id}
    for row in batch.image_mask:
        places = row.nonzero().flatten()
        assert (places.diff() == 1).all()
        assert (places[0] == 1) == (order is Order.IMAGE_FIRST)


def test_answers_are_padded_on_the_right_and_prompts_on_the_left(
    tokenizer: Tokenizer, collator: Collator
) -> None:
    batch, prompts = collator(FACES), collator.prompts(FACES)
    for row, length in enumerate(prompts.prompt_lengths.tolist()):
        width = prompts.input_ids.shape[1]
        assert prompts.attention_mask[row].tolist() == [0] * (width - length) + [1] * length
        assert torch.equal(prompts.input_ids[row, width - length :], batch.input_ids[row, :length])
        assert torch.equal(prompts.image_mask[row, width - length :], batch.image_mask[row, :length])
        assert not prompts.image_mask[row, : width - length].any()
        used = int(batch.attention_mask[row].sum())
        assert batch.attention_mask[row].tolist() == [1] * used + [0] * (batch.input_ids.shape[1] - used)
    for padded in (prompts, batch):
        assert set(padded.input_ids[padded.attention_mask == 0].tolist()) == {tokenizer.pad_token_id}
    assert torch.equal(prompts.prompt_lengths, batch.prompt_lengths)
    assert torch.equal(prompts.targets, batch.targets)
    assert (prompts.asked, prompts.aus, prompts.scales) == (batch.asked, batch.aus, batch.scales)


def test_one_image_can_be_asked_in_another_format(tokenizer: Tokenizer, collator: Collator) -> None:
    own, other = collator.prompts([LEVEL]), collator.prompts([LEVEL], scale=Scale.PRESENCE)
    assert other.scales == (Scale.PRESENCE,)
    assert written(tokenizer, own.input_ids[0]).endswith("Answer with a level from 0 to 5.\n")
    assert written(tokenizer, other.input_ids[0]).endswith("Answer 1 if present, 0 if absent.\n")
    image_end = int(own.image_mask[0].nonzero().max()) + 1
    assert torch.equal(own.input_ids[0, :image_end], other.input_ids[0, :image_end])
    assert torch.equal(own.targets, other.targets)


@pytest.mark.parametrize("batched", [Collator.__call__, Collator.prompts])
def test_sample_without_a_label_is_refused_by_name(
    collator: Collator, batched: Callable[[Collator, list[Face]], object]
) -> None:
    nobody_coded = face("frame 7", "AU1 AU2", [UNKNOWN, UNKNOWN], Scale.LEVEL)
    with pytest.raises(NoSupervisionError) as caught:
        batched(collator, [LEVEL, nobody_coded])
    assert str(caught.value) == (
        "sample 'frame 7' has no known label: leave it out, or choose Action Units that are coded in it"
    )


def test_faces_without_labels_can_be_asked_about_everything(collator: Collator) -> None:
    nobody_coded = face("frame 7", "AU1 AU2", [UNKNOWN, UNKNOWN], Scale.LEVEL)
    asked = collator.prompts([nobody_coded, PRESENCE], ask_unknown=True).asked
    assert asked == (("AU1", "AU2"), ("AU1", "AU2", "AU12"))


@pytest.mark.parametrize("batched", [Collator.__call__, Collator.prompts])
def test_longer_than_the_context_is_refused_with_both_numbers(
    tokenizer: Tokenizer, collator: Collator, batched: Callable[[Collator, list[Face]], PromptBatch]
) -> None:
    length = int(collator([LEVEL]).attention_mask.sum())
    style, form = QuestionStyle(), AnswerForm.NAMED
    enough = Collator(tokenizer, style, form, IMAGE_TOKENS, preprocess, length)
    too_short = Collator(tokenizer, style, form, IMAGE_TOKENS, preprocess, length - 1)
    assert batched(enough, [LEVEL]).sample_ids == ("b",)
    with pytest.raises(ContextLengthError) as caught:
        batched(too_short, [LEVEL])
    assert str(caught.value) == (
        f"sample 'b' needs {length} tokens but the context holds {length - 1}: ask about fewer Action Units, "
        "set text.definitions=false, or raise llm.max_length"
    )


def test_label_off_its_scale_is_refused(collator: Collator) -> None:
    with pytest.raises(TextError, match="AU4 has the value 7"):
        collator([face("b", "AU4", [7], Scale.LEVEL)])


def test_a_question_is_tokenised_once(collator: Collator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collate, "CACHED_QUESTIONS", 2)
    first = collator.prompt(("AU1",), Scale.LEVEL)
    second = collator.prompt(("AU2",), Scale.LEVEL)
    assert collator.prompt(("AU1",), Scale.LEVEL) is first
    collator.prompt(("AU4",), Scale.LEVEL)  # AU2 is the longest unused and leaves
    assert collator.prompt(("AU1",), Scale.LEVEL) is first
    again = collator.prompt(("AU2",), Scale.LEVEL)
    assert again is not second
    assert again == second


def test_tokenizer_without_bos_and_pad() -> None:
    bare = byte_level_bpe(eos_token="</s>")
    batch = Collator(bare, QuestionStyle(), AnswerForm.LIST, IMAGE_TOKENS, preprocess, 2048)(FACES)
    assert written(bare, batch.input_ids[0]).startswith("Read the facial")
    assert set(batch.input_ids[batch.attention_mask == 0].tolist()) == {bare.eos_token_id}
    assert written(bare, batch.labels[1][batch.labels[1] != UNSUPERVISED]) == "[3]</s>"


def test_tokenizer_without_an_end_is_refused() -> None:
    with pytest.raises(TextError, match="has no end-of-sequence token"):
        Collator(byte_level_bpe(bos_token="<s>"), QuestionStyle(), AnswerForm.LIST, 1, preprocess, 99)


def test_moving_keeps_the_rest(collator: Collator) -> None:
    batch = collator(FACES)
    moved = batch.to("meta")
    assert isinstance(moved, AUBatch)
    tensors = [moved.pixel_values, moved.input_ids, moved.image_mask, moved.attention_mask, moved.labels]
    assert {tensor.device.type for tensor in [*tensors, moved.targets, moved.prompt_lengths]} == {"meta"}
    assert batch.input_ids.device.type == "cpu"
    assert moved.sample_ids == batch.sample_ids
    assert collator.prompts(FACES).to("meta").input_ids.device.type == "meta"


def test_collator_and_batch_travel_to_worker_processes(collator: Collator) -> None:
    again = pickle.loads(pickle.dumps(collator))  # noqa: S301 - our own bytes
    batch = pickle.loads(pickle.dumps(again(FACES)))  # noqa: S301
    assert torch.equal(batch.labels, collator(FACES).labels)


def test_pinning_pins_every_tensor(collator: Collator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real page-locked memory needs a GPU's driver: what is pinned is counted here."""
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor)
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    batch = collator(FACES)
    again = batch.pin_memory()
    assert len(pinned) == 8
    assert torch.equal(again.labels, batch.labels)
    assert again.labels is not batch.labels
    assert again.subjects == batch.subjects
