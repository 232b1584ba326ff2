"""From samples to batches: the only place where labels become supervised tokens.

Which positions are supervised is known while the row is built (the answer and the end of the sequence), so
nothing is tokenised twice and nothing is searched for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aullava.text.batch import UNSUPERVISED, AUBatch, PromptBatch
from aullava.text.errors import ContextLengthError, NoSupervisionError, TextError
from aullava.text.grammar import AnswerForm
from aullava.text.question import ImagePlace, QuestionStyle, question
from aullava.text.tokens import SlotToken, TokenGrammar, Tokenizer, eos_id, piece_ids
from datamodules.action_units import UNKNOWN, Scale

CACHED_QUESTIONS: Final = 4096
"""How many questions a collator keeps tokenised; a dataset with many patterns of unknown labels has more."""

Image = npt.NDArray[np.uint8]


class Asked(Protocol):
    """What is asked about: the fields of `datamodules.sample.AUSample` that the text needs."""

    @property
    def sample_id(self) -> str:
        """Unique in its dataset."""
        ...

    @property
    def dataset(self) -> str:
        """The registered name of the dataset."""
        ...

    @property
    def subject(self) -> str:
        """The person."""
        ...

    @property
    def image(self) -> Image:
        """uint8 [H, W, 3], RGB."""
        ...

    @property
    def aus(self) -> tuple[str, ...]:
        """The codes of the labels."""
        ...

    @property
    def labels(self) -> npt.NDArray[np.float32]:
        """float32 [A], UNKNOWN where not coded."""
        ...

    @property
    def scale(self) -> Scale:
        """What the labels mean."""
        ...

    @property
    def padding(self) -> bool:
        """Whether it is asked to fill up a block and scored nowhere."""
        ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question in ids.

    Attributes:
        ids: the question, the pad id in the image's places.
        image: for each of `ids` whether it is the image's place.
        grammar: every answer to the question.
        branches: of independent answers, those about each Action Unit; empty where an answer is one text.
    """

    ids: tuple[int, ...]
    image: tuple[bool, ...]
    grammar: TokenGrammar
    branches: tuple[TokenGrammar, ...] = ()


@dataclass(frozen=True, slots=True)
class _Written:
    """An answer in ids.

    Attributes:
        ids: of the answer.
        labels: those that are learned, UNSUPERVISED elsewhere.
        branches: for each of `ids` the number of its branch, 0 where an answer is one text.
    """

    ids: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    branches: tuple[int, ...] = ()


class Collator:
    """Writes the question and the answer of each sample and batches them.

    Args:
        tokenizer: a Hugging Face tokenizer.
        style: how questions are written.
        form: how answers are written.
        image_tokens: how many places an image takes.
        preprocess: images, uint8 [H, W, 3], to pixel values [B, 3, S, S] float32.
        max_length: how many tokens the language model takes, question and answer together.
        independent: whether each Action Unit is answered without seeing the answers about the others.

    Raises:
        TextError: the tokenizer has no end-of-sequence token, or independent answers have another form than
            the named one.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        style: QuestionStyle,
        form: AnswerForm,
        image_tokens: int,
        preprocess: Callable[[list[Image]], Tensor],
        max_length: int,
        independent: bool = False,
    ) -> None:
        if independent and form is not AnswerForm.NAMED:
            raise TextError(
                f"independent answers name their Action Units: write answer.form=named, not {form}"
            )
        self.independent = independent
        self.tokenizer = tokenizer
        self.style = style
        self.form = form
        self.image_tokens = image_tokens
        self.preprocess = preprocess
        self.max_length = max_length
        # Padding is masked out everywhere, so a tokenizer without a pad id loses nothing by another.
        pad = tokenizer.pad_token_id
        self.pad_id = eos_id(tokenizer) if pad is None else pad
        self._prompts: dict[tuple[tuple[str, ...], Scale], Prompt] = {}

    def __call__(self, samples: Sequence[Asked]) -> AUBatch:
        """Batches samples for training: each is asked about its known Action Units, and answered.

        Samples of one picture that follow each other share it: it is encoded once.

        Raises:
            NoSupervisionError: a sample without a known label.
            ContextLengthError: a sample longer than `max_length`.
            TextError: a label that is not on its scale.
        """
        prompts = [self._prompt(sample, known_aus(sample), sample.scale) for sample in samples]
        answers = [
            _written(prompt, sample.labels[known(sample)])
            for sample, prompt in zip(samples, prompts, strict=True)
        ]
        firsts, pictures = one_after_the_other(samples)
        batch = self._batch(samples, prompts, answers, left=False, shown=[samples[row] for row in firsts])
        rows = list(zip(prompts, answers, strict=True))
        labels = [(UNSUPERVISED,) * len(prompt.ids) + answer.labels for prompt, answer in rows]
        branches = [(0,) * len(prompt.ids) + answer.branches for prompt, answer in rows]
        forks = padded(branches, -1) if self.independent else None
        return AUBatch.of(batch, padded(labels, UNSUPERVISED), torch.tensor(pictures), forks)

    def prompts(
        self, samples: Sequence[Asked], scale: Scale | None = None, ask_unknown: bool = False
    ) -> PromptBatch:
        """Batches samples for decoding: the questions alone, padded on the left.

        Args:
            samples: what to ask about.
            scale: the format to ask for; None asks for each sample's own.
            ask_unknown: whether to ask about Action Units without a label too, as for uncoded faces.

        Raises:
            NoSupervisionError: a sample without a known label, unless `ask_unknown`.
            ContextLengthError: a question that leaves no room for its answer.
        """
        prompts = [
            self._prompt(sample, sample.aus if ask_unknown else known_aus(sample), scale or sample.scale)
            for sample in samples
        ]
        return self._batch(samples, prompts, [_Written()] * len(prompts), left=True)

    def prompt(self, aus: tuple[str, ...], scale: Scale) -> Prompt:
        """The question about `aus` in ids, with the grammar of its answer; the last ones used are kept."""
        key = (aus, scale)
        found = self._prompts.pop(key, None) or self._tokenised(aus, scale)
        if len(self._prompts) >= CACHED_QUESTIONS:
            del self._prompts[next(iter(self._prompts))]
        self._prompts[key] = found  # at the end: a dict keeps its order, the first one is the longest unused
        return found

    def _tokenised(self, aus: tuple[str, ...], scale: Scale) -> Prompt:
        """The question in ids, and the grammar of its answer."""
        pieces = question(aus, scale, self.style)
        ids, image = question_ids(self.tokenizer, pieces, self.image_tokens, self.pad_id)
        whole = TokenGrammar.compile(self.tokenizer, aus, scale, self.form)
        alone = [TokenGrammar.branch(self.tokenizer, au, scale) for au in aus if self.independent]
        return Prompt(ids, image, whole, tuple(alone))

    def _prompt(self, sample: Asked, aus: tuple[str, ...], scale: Scale) -> Prompt:
        """The question about a sample, which must ask something and fit the context with its answer."""
        if not aus:
            raise NoSupervisionError.of(sample.sample_id)
        prompt = self.prompt(aus, scale)
        length = len(prompt.ids) + len(prompt.grammar.steps)
        if length > self.max_length:
            raise ContextLengthError.of(sample.sample_id, length, self.max_length)
        return prompt

    def _batch(
        self,
        samples: Sequence[Asked],
        prompts: list[Prompt],
        answers: Sequence[_Written],
        left: bool,
        shown: Sequence[Asked] | None = None,
    ) -> PromptBatch:
        """Pads questions, each followed by its answer, to one length; the pictures are those of `shown`."""
        rows = [(prompt, answer.ids) for prompt, answer in zip(prompts, answers, strict=True)]
        images = padded([prompt.image + (False,) * len(answer) for prompt, answer in rows], False, left)
        ones = [(1,) * (len(prompt.ids) + len(answer)) for prompt, answer in rows]
        return PromptBatch(
            pixel_values=self.preprocess([sample.image for sample in shown or samples]),
            input_ids=padded([prompt.ids + answer for prompt, answer in rows], self.pad_id, left),
            image_mask=images.bool(),
            attention_mask=padded(ones, 0, left),
            targets=targets_of(samples),
            prompt_lengths=torch.tensor([len(prompt.ids) for prompt in prompts], dtype=torch.int64),
            aus=tuple(sample.aus for sample in samples),
            asked=tuple(prompt.grammar.aus for prompt in prompts),
            scales=tuple(prompt.grammar.scale for prompt in prompts),
            datasets=tuple(sample.dataset for sample in samples),
            sample_ids=tuple(sample.sample_id for sample in samples),
            subjects=tuple(sample.subject for sample in samples),
        )


def _written(prompt: Prompt, values: npt.NDArray[np.float32]) -> _Written:
    """The answer that gives `values` [A]: one text, or one branch for each Action Unit."""
    if not prompt.branches:
        ids = prompt.grammar.encode(values)
        return _Written(ids, ids, (0,) * len(ids))
    found: list[tuple[int, int, int]] = []
    for number, branch in enumerate(prompt.branches, start=1):
        # Nothing is to be written behind the value, so its end is not learned.
        for step, token in zip(branch.steps[:-1], branch.encode(values[number - 1 : number]), strict=False):
            found.append((token, token if isinstance(step, SlotToken) else UNSUPERVISED, number))
    return _Written(*(tuple(column) for column in zip(*found, strict=True)))


def question_ids(
    tokenizer: Tokenizer, pieces: Sequence[str | ImagePlace], image_tokens: int, fill: int
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """A question in ids, each piece on its own, and for each id whether it holds an image's place.

    Args:
        tokenizer: whose ids.
        pieces: from `question`.
        image_tokens: how many places an image takes.
        fill: the id that stands in them.
    """
    bos = tokenizer.bos_token_id
    ids: list[int] = [] if bos is None else [bos]
    image = [False] * len(ids)
    for piece in pieces:
        is_image = isinstance(piece, ImagePlace)
        new = (fill,) * image_tokens if isinstance(piece, ImagePlace) else piece_ids(tokenizer, piece)
        ids += new
        image += [is_image] * len(new)
    return tuple(ids), tuple(image)


def known(sample: Asked) -> npt.NDArray[np.bool_]:
    """[A] true where a sample's label was coded."""
    return np.not_equal(sample.labels, UNKNOWN)


def known_aus(sample: Asked) -> tuple[str, ...]:
    """The codes of a sample's known labels, in their order."""
    return tuple(au for au, coded in zip(sample.aus, known(sample), strict=True) if coded)


def one_after_the_other(samples: Sequence[Asked]) -> tuple[list[int], list[int]]:
    """The rows at which another picture begins, and for each row the number of its picture."""
    firsts: list[int] = []
    pictures: list[int] = []
    for row, sample in enumerate(samples):
        before = samples[row - 1] if row else None
        if before is None or sample.image is not before.image:
            firsts.append(row)
        pictures.append(len(firsts) - 1)
    return firsts, pictures


def targets_of(samples: Sequence[Asked]) -> Tensor:
    """The labels of samples as [B, A] float32, filled up with UNKNOWN to the longest and in padding."""
    targets = np.full((len(samples), max(len(sample.aus) for sample in samples)), UNKNOWN, dtype=np.float32)
    for row, sample in zip(targets, samples, strict=True):
        row[: len(sample.aus)] = UNKNOWN if sample.padding else sample.labels
    return torch.from_numpy(targets)


def padded(rows: Sequence[tuple[int, ...]], fill: int, left: bool = False) -> Tensor:
    """Rows of integers as one [B, T] int64, filled up with `fill` on the left or the right."""
    width = max(len(row) for row in rows)
    return torch.tensor(
        [(fill,) * (width - len(row)) + row if left else row + (fill,) * (width - len(row)) for row in rows],
        dtype=torch.int64,
    )
