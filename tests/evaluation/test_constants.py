"""The constant baselines and the scores they are known to have."""

from __future__ import annotations

import pytest
import torch

from aullava.evaluation.constants import always_present, always_zero, training_mean
from aullava.evaluation.scores import ScoreBook
from datamodules.action_units import UNKNOWN, Scale


@pytest.mark.parametrize("scale", [Scale.PRESENCE, Scale.LEVEL])
def test_always_present_has_the_f1_of_the_prevalence(scale: Scale) -> None:
    target = torch.tensor([[1.0], [0.0], [0.0], [0.0]]) * (5 if scale is Scale.LEVEL else 1)
    book = ScoreBook(["AU1"], scale)
    book.update(always_present(4, 1, scale), target)
    prevalence = 0.25
    assert book.compute()["f1/AU1"] == pytest.approx(2 * prevalence / (1 + prevalence))


def test_intensities_do_not_say_what_is_present() -> None:
    with pytest.raises(ValueError, match="intensity"):
        always_present(4, 1, Scale.INTENSITY)


def test_always_zero_errs_by_the_mean_label_and_correlates_by_nothing() -> None:
    target = torch.rand(50, 2)
    book = ScoreBook(["AU1", "AU2"], Scale.INTENSITY)
    book.update(always_zero(50, 2), target)
    assert book.compute()["mae_macro"] == pytest.approx(target.double().mean().item())
    assert book.compute()["pcc_macro"] == 0


def test_training_mean_leaves_out_what_was_not_coded() -> None:
    target = torch.tensor([[1.0, UNKNOWN], [2.0, UNKNOWN], [UNKNOWN, UNKNOWN]])
    assert training_mean(target, 2, Scale.LEVEL).tolist() == [[1.5, 0.0], [1.5, 0.0]]


def test_training_mean_of_presence_is_the_more_frequent_answer() -> None:
    target = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    assert training_mean(target, 1, Scale.PRESENCE).tolist() == [[1.0, 0.0]]
