"""Answers by draft and verification: the same as `aullava.decoding.generate` writes, in about one pass.

What stands before the image in a question is read once and kept, and so is a face that several questions
ask about; the answer is drafted, read together with the question, and corrected where the model says
otherwise (`aullava.decoding.verify`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from aullava.decoding.branches import BranchTable
from aullava.decoding.cost import Experience, PassCost, PassCounts
from aullava.decoding.decisions import readings
from aullava.decoding.drafts import Drafts, Reader
from aullava.decoding.exact import exact_readings
from aullava.decoding.generate import by_question, evaluating
from aullava.decoding.slots import SlotTable
from aullava.decoding.verify import Question, Verification
from aullava.models.key_values import KeyValues
from aullava.models.vlm import FaceLanguageModel
from aullava.text.answer import Answer, Scale
from aullava.text.batch import PromptBatch
from aullava.text.collate import Collator

BEGINNINGS: Final = 8
"""Beginnings of questions that are kept read: a 7B model takes half a megabyte for each of their tokens."""

QuestionKey = tuple[tuple[str, ...], Scale]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept of one question."""

    question: Question
    beginning: tuple[int, ...]
    drafts: Drafts
    experience: Experience

    @property
    def rest(self) -> int:
        """Tokens behind the beginning, those of the answer included.

        Its end is never read, so there is room for a digit in doubt.
        """
        return len(self.question.ids) + len(self.question.table.grammar.steps)


@dataclass(frozen=True, slots=True)
class _Faces:
    """Faces that a question was asked about.

    Attributes:
        beginning: what stood before their image.
        state: keys and values of the question up to the image's end, and of what came after.
        length: tokens up to the image's end.
    """

    beginning: tuple[int, ...]
    state: KeyValues
    length: int


class OnePass:
    """Decodes answers; keeps what questions share, so it must be told when weights change (`forget`).

    Args:
        model: on any device.
        collator: writes the questions.
        reader: guesses answers from features, for drafts; None: there is none.
        certify: find out for every answer whether free decoding would have written it. Without it the head
            of the language model runs on the words of the choices alone.
        share: read what stands before the image once per question instead of once per face, and the image
            once for all questions about it whose beginnings are the same.
        exact: read every intensity once more, for its exact distribution.

    Attributes:
        counts: what decoding has cost so far.
    """

    def __init__(
        self,
        model: FaceLanguageModel,
        collator: Collator,
        reader: Reader | None = None,
        certify: bool = True,
        share: bool = True,
        exact: bool = False,
    ) -> None:
        self.model = model
        self.collator = collator
        self.reader = reader
        self.certify = certify
        self.share = share
        self.exact = exact
        self.counts = PassCounts()
        self._parameters = sum(one.numel() for one in model.llm.parameters())
        self._half = next(model.llm.parameters()).dtype.itemsize == 2
        self._known: dict[QuestionKey, _Known] = {}
        self._beginnings: dict[tuple[int, ...], KeyValues] = {}
        self._faces = WeakTensorKeyDictionary()  # by features, as long as the caller keeps these
        self._checked = False

    def forget(self) -> None:
        """Drop what was computed with the weights of before."""
        self._beginnings.clear()
        self._faces.clear()
        for known in self._known.values():
            known.drafts.forget()

    def answers(self, prompts: PromptBatch) -> list[Answer]:
        """Answers to questions that a data loader has batched, as `answer_prompts` of the reference."""
        found: dict[int, Answer] = {}
        pixels = prompts.pixel_values.to(self._device)
        with evaluating(self.model):
            features = self.model.see(pixels)
        for (aus, scale), rows in by_question(prompts).items():
            ids = [prompts.sample_ids[row] for row in rows]
            found.update(zip(rows, self.ask(features[rows], ids, aus, scale), strict=True))
        return [found[row] for row in range(len(prompts.asked))]

    def see(self, images: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """Features of faces RGB uint8 [H, W, 3]; `ask` may be called several times with the same ones."""
        with evaluating(self.model):
            return self.model.see(self.collator.preprocess(list(images)).to(self._device))

    def ask(
        self,
        features: Tensor,
        sample_ids: Sequence[str],
        aus: tuple[str, ...],
        scale: Scale,
        video: str | None = None,
    ) -> list[Answer]:
        """One question about every face.

        Args:
            features: [B, N, D] from `see`.
            sample_ids: B names.
            aus: codes of the Action Units, in order.
            scale: the format of the answer.
            video: name of the video whose next frames these are, to be drafted with those before; None: none.

        Returns:
            B answers, in order.

        Raises:
            TextError: the question cannot be written.
            ModelError: the language model does not end in a linear head.
        """
        self._check()
        known = self._question(aus, scale)
        table, question = known.question.table, known.question
        with evaluating(self.model):
            guess = None if self.reader is None else self.reader.guess(features, aus, scale)
            draft = known.drafts.begin(len(features), guess, video)
            run = Verification(self.model, question, draft, known.drafts.habits, self._cost, known.experience)
            state = self._with_faces(known, features)
            if state is not None:
                run.run(None, state)
            else:
                state = self._begun(known, len(table.grammar.steps))
                run.run(features, state)
                self._keep(known, features, state)
            if self.exact and scale is Scale.INTENSITY:
                fork = BranchTable.along(table.grammar, self._device)
                answered, begun = table.answer_ids(run.choices), self._begun(known, len(fork.ids))
                read = exact_readings(self.model, question, fork, features, answered, begun)
            else:
                read = readings(table.grammar, table.decisions(run.choices, run.scores))
        known.drafts.learn(run.choices, run.scores, guess, video)
        certified = run.certified
        self.counts.rows += len(features)
        self.counts.passes += int(run.passes.sum())
        self.counts.tokens += run.tokens
        self.counts.answer_tokens += len(features) * len(table.grammar.steps)
        self.counts.certified += int(certified.sum())
        ids = table.answer_ids(run.choices).tolist()
        sure = certified.tolist() if self.certify else [None] * len(features)
        return [
            Answer.restricted(name, table.grammar, row, reading, agreed)
            for name, row, reading, agreed in zip(sample_ids, ids, read, sure, strict=True)
        ]

    def _check(self) -> None:
        """Refuse what no pass can decode; not sooner: a model may be sharded after it was built."""
        if not self._checked:
            with evaluating(self.model):
                self.model.check_head()
            self._checked = True

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def _cost(self) -> PassCost:
        return PassCost.of(self._parameters, self._device.type, self._half)

    def _question(self, aus: tuple[str, ...], scale: Scale) -> _Known:
        """The question in ids, cut at the image."""
        key = (aus, scale)
        if key not in self._known:
            prompt = self.collator.prompt(aus, scale)
            cut = prompt.image.index(True) if self.share else 0
            table = SlotTable(prompt.grammar, self._device)
            ids = torch.tensor(prompt.ids[cut:], device=self._device)
            image = torch.tensor(prompt.image[cut:], device=self._device)
            question = Question(ids, image, table, self.certify)
            self._known[key] = _Known(question, prompt.ids[:cut], Drafts(table), Experience())
        return self._known[key]

    def _begun(self, known: _Known, answer: int) -> KeyValues:
        """Keys and values of what stands before the image, with room for the rest and `answer` tokens."""
        room = len(known.question.ids) + answer
        beginning = known.beginning
        if not beginning:
            return KeyValues.empty(int(self.model.llm.config.num_hidden_layers), room)
        read = self._beginnings.pop(beginning, None)
        if read is None:
            read = self.model.read_beginning(torch.tensor(beginning, device=self._device))
            while len(self._beginnings) >= BEGINNINGS:
                del self._beginnings[next(iter(self._beginnings))]
        self._beginnings[beginning] = read  # at the end: the first one is the longest unused
        return read.after(room)

    def _with_faces(self, known: _Known, features: Tensor) -> KeyValues | None:
        """Keys and values up to the end of the image, with room for the rest; None: they are not there."""
        faces: _Faces | None = self._faces.get(features, None)  # type: ignore[no-untyped-call]
        if faces is None or faces.beginning != known.beginning:
            return None
        faces.state.cut_back(faces.length)
        return faces.state.roomy(faces.length - known.question.face_end + known.rest)

    def _keep(self, known: _Known, features: Tensor, state: KeyValues) -> None:
        """Keep what was read of the faces for other questions; later passes wrote behind it only."""
        question = known.question
        if self.share and question.face_end < len(question.ids):
            length = len(known.beginning) + question.face_end
            self._faces[features] = _Faces(known.beginning, state, length)
