"""The exact distribution of intensities in an answer that is one text, by one more pass over it.

Slot by slot, decoding sees the hundredths behind the tenths that it wrote and no others. Here the answer is
read once more with a fork at every intensity: all ten tenths, and the hundredths behind each. Everything
stays conditioned on what the answer says about the Action Units before.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aullava.decoding.branches import BranchTable, readings
from aullava.decoding.verify import Question
from aullava.models.key_values import KeyValues
from aullava.models.vlm import FaceLanguageModel
from aullava.text.answer import Readings


@torch.no_grad()
def exact_readings(
    model: FaceLanguageModel,
    question: Question,
    table: BranchTable,
    features: Tensor,
    answers: Tensor,
    state: KeyValues,
) -> list[Readings]:
    """What the intensities of B answers say, by their exact distributions.

    Args:
        model: in eval mode.
        question: what was asked.
        table: `BranchTable.along` of its grammar.
        features: [B, N, D] of the faces.
        answers: int64 [B, L] with the end of the sequence.
        state: what stands before the question, with room for question and tree.
    """
    ids = table.ids.repeat(len(answers), 1)
    ids[:, table.written] = answers[:, :-1]
    hidden = model.read_questions(features, question.ids, question.image, ids, state, table.paths)
    places = hidden[:, 1 + table.places.flatten()]  # the first one stands behind the question
    probabilities = table.distributions(table.decisions(model.scored(places, table.columns)))
    grammar = question.table.grammar
    amounts = [[round(100 * float(value)) for value in grammar.decode(row)] for row in answers.tolist()]
    return readings(table.scale, probabilities, torch.tensor(amounts, device=ids.device))
