"""Mixtures beyond equal turns: formats, temperature, rare units, shared people, several processes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from aullava.evaluation.scores import ScoreBook
from aullava.text.collate import targets_of
from datamodules.action_units import UNKNOWN, Scale
from datamodules.balance import presence_of
from datamodules.base import AUDataModule
from datamodules.errors import DatasetError, SubjectLeakError
from datamodules.formats import thresholds
from datamodules.mixture import Mixture
from datamodules.options import MixtureSettings, SyntheticOptions
from datamodules.sample import AUSample
from datamodules.sampling import Turns, normed
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, SMALL, batches, dataset

BOTH = (Scale.LEVEL, Scale.PRESENCE)


@pytest.fixture
def pair(settings_of: Small) -> list[AUDataModule]:
    """Presence alone, and levels that are also asked for presence."""
    bp4d = dataset("synthetic_bp4d", settings_of("synthetic_bp4d"))
    return [bp4d, dataset("synthetic_disfa", settings_of("synthetic_disfa"), formats=BOTH)]


def _shown(mixture: Mixture, steps: int) -> list[list[AUSample]]:
    return list(batches(mixture.train_dataloader(), steps))


# ---- going on


def test_going_on_late_costs_what_going_on_early_costs(
    pair: list[AUDataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No picture is read and no turn is taken again, however many steps were done; the faces are the same."""
    steps = 40
    whole = Mixture(pair, LOADING)
    wanted = [[sample.sample_id for sample in batch] for batch in _shown(whole, steps + 1)]
    read: list[int] = []
    taken: list[int] = []
    picture, take = AUDataModule.picture, Turns.take

    def watched(member: AUDataModule, row: int) -> Any:
        read.append(row)
        return picture(member, row)

    def counted(turns: Turns, weights: Sequence[float]) -> tuple[int, int]:
        taken.append(1)
        return take(turns, weights)

    monkeypatch.setattr(AUDataModule, "picture", watched)
    weights = normed(whole.shares())
    for done in (1, steps, 200_000):
        turns = Turns.at_the_beginning(len(whole.drawn))
        for _ in range(done):
            turns.take(weights)
        read.clear()
        taken.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Turns, "take", counted)
            again = Mixture(pair, LOADING)
            again.load_state_dict(asdict(turns))
            first = _shown(again, 1)[0]
        assert len(read) == LOADING.batch_size
        assert len(taken) == 1
        if done <= steps:
            assert [sample.sample_id for sample in first] == wanted[done]


# ---- formats


def test_a_picture_is_asked_in_every_format_at_once(pair: list[AUDataModule]) -> None:
    mixture = Mixture(pair, LOADING)
    shown = _shown(mixture, 80)
    assert Counter(batch[0].dataset for batch in shown) == {"synthetic_bp4d": 40, "synthetic_disfa": 40}
    mirrored = 0
    for batch in shown:
        if batch[0].dataset != "synthetic_disfa":
            continue
        levels, present = batch[::2], batch[1::2]
        assert len(levels) == len(present) == LOADING.batch_size
        for level, same in zip(levels, present, strict=True):
            assert (level.scale, same.scale) == BOTH
            assert level.sample_id == same.sample_id
            assert level.image is same.image
            assert np.array_equal(same.labels, presence_of(level.labels[None], thresholds(pair[1]))[0])
            row = pair[1].index.sample_ids.tolist().index(level.sample_id)
            mirrored += not np.array_equal(level.image, pair[1].sample(row).image)
    assert mirrored > 0  # augmented, and all questions see the same


def test_a_picture_can_be_asked_in_every_format_in_turn(pair: list[AUDataModule]) -> None:
    mixture = Mixture(pair, LOADING, MixtureSettings(shared_image=False))
    names = [member.name for member in mixture.members]
    assert names == ["synthetic_bp4d", "synthetic_disfa", "synthetic_disfa.presence"]
    shown = _shown(mixture, 80)
    asked = Counter((batch[0].dataset, batch[0].scale) for batch in shown)
    # The formats of a dataset share its part of the batches.
    assert asked == {
        ("synthetic_bp4d", Scale.PRESENCE): 40,
        ("synthetic_disfa", Scale.LEVEL): 20,
        ("synthetic_disfa", Scale.PRESENCE): 20,
    }
    faces = {
        scale: {one.sample_id for batch in shown for one in batch if batch[0].scale is scale}
        for scale in BOTH
    }
    assert faces[Scale.LEVEL] & faces[Scale.PRESENCE]


def test_every_format_is_evaluated_on_the_same_faces(pair: list[AUDataModule]) -> None:
    mixture = Mixture(pair, LOADING)
    tested = [[one for batch in loader for one in batch] for loader in mixture.test_dataloader()]
    assert len(tested) == len(mixture.val_dataloader()) == 3
    level, present = tested[1:]
    assert [one.sample_id for one in level] == [one.sample_id for one in present]
    assert {one.scale for one in present} == {Scale.PRESENCE}
    assert [loader.dataset.module.name for loader in mixture.test_dataloader()] == [
        member.name for member in mixture.members
    ]


def test_a_dataset_stands_once_in_a_mixture(pair: list[AUDataModule]) -> None:
    with pytest.raises(DatasetError, match="'synthetic_bp4d' stands twice"):
        Mixture([*pair, pair[0]], LOADING)


def test_a_face_of_which_nothing_is_known_is_asked_nothing(settings_of: Small) -> None:
    whole = dataset("folder", settings_of("folder"))
    column = int(np.argmax((whole.index.labels == UNKNOWN).sum(axis=0)))
    one = dataset("folder", settings_of("folder"), aus=(whole.asked_aus[column],))
    unknown = np.flatnonzero(one.index.labels[:, 0] == UNKNOWN)
    asked = [row for part in ("train", "val", "test") for row in one.rows(part)]
    assert len(unknown)
    assert sorted([*asked, *unknown.tolist()]) == list(range(len(one.index)))


# ---- shares


def test_temperature_follows_the_training_faces(settings_of: Small) -> None:
    # Folder: other people, and not as many.
    members = [dataset(name, settings_of(name)) for name in ("synthetic_bp4d", "folder")]
    sizes = [len(member.rows("train")) for member in members]
    mixture = Mixture(members, LOADING, MixtureSettings(temperature=1.0))
    assert sizes[0] != sizes[1]
    assert mixture.shares() == pytest.approx([size / sum(sizes) for size in sizes])
    assert Mixture(members, LOADING).shares() == (0.5, 0.5)


def test_training_faces_are_looked_up_once(pair: list[AUDataModule], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two million rows that takes a while, and every checkpoint asks for the shares."""
    mixture = Mixture(pair, LOADING, MixtureSettings(temperature=2))
    mixture.setup("fit")
    looked: list[str] = []

    def watched(member: AUDataModule) -> Callable[..., Sequence[int]]:
        rows = member.rows

        def look(part: str, limit: int | None = None) -> Sequence[int]:
            looked.append(member.name)
            return rows(part, limit)

        return look

    for member in mixture.members:
        monkeypatch.setattr(member, "rows", watched(member))
    first = mixture.shares()
    mixture.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_step=3, accumulate_grad_batches=1, global_rank=0, world_size=1
    )
    mixture.train_dataloader()
    assert mixture.state_dict()["batch"] == 3
    once = ["synthetic_bp4d", "synthetic_disfa"]
    assert sorted(looked) == once
    mixture.setup("fit")  # another split may hold other people
    assert mixture.shares() == first
    assert sorted(looked) == sorted(once * 2)


def test_rare_units_come_more_often(pair: list[AUDataModule]) -> None:
    def share_of_rarest(balance: str) -> float:
        mixture = Mixture(pair[:1], LOADING, MixtureSettings(balance=balance))
        return float(np.mean([rarest(one) for batch in _shown(mixture, 100) for one in batch]))

    labels = pair[0].index.labels[np.array(pair[0].rows("train"))]
    rates = np.where(labels.any(axis=0), labels.mean(axis=0), 1)
    column = int(rates.argmin())

    def rarest(sample: AUSample) -> bool:  # mirrored faces: the units of BP4D are on both sides
        return bool(sample.labels[column])

    assert share_of_rarest("none") == pytest.approx(rates[column], abs=0.02)
    assert share_of_rarest("rare") > 1.3 * rates[column]


@pytest.mark.parametrize("world", [2, 3])
def test_balanced_processes_share_each_global_batch(pair: list[AUDataModule], world: int) -> None:
    def shown(batch_size: int, rank: int, world: int) -> list[list[str]]:
        mixture = Mixture(pair, replace(LOADING, batch_size=batch_size), MixtureSettings(balance="rare"))
        mixture.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
        return [[one.sample_id for one in batch] for batch in _shown(mixture, 9)]

    whole, parts = shown(4 * world, 0, 1), [shown(4, rank, world) for rank in range(world)]
    assert [list(chain(*step)) for step in zip(*parts, strict=True)] == whole


# ---- people


def _unlike(settings_of: Small) -> list[AUDataModule]:
    """Two codings of one drawn population that test other people of it."""
    fewer: SyntheticOptions = replace(SMALL, train_people=7, test_people=4)
    settings = settings_of("synthetic_disfa")
    return [
        dataset("synthetic_bp4d", settings_of("synthetic_bp4d")),
        dataset("synthetic_disfa", settings, options=fewer),
    ]


def test_the_same_person_in_two_parts_is_refused_before_training(settings_of: Small) -> None:
    with pytest.raises(SubjectLeakError, match=r"'drawn 0:S008' is in the \w+ part of 'synthetic_bp4d'"):
        Mixture(_unlike(settings_of), LOADING).setup("fit")


def test_another_population_is_other_people(settings_of: Small) -> None:
    first, second = _unlike(settings_of)
    other = dataset(
        "synthetic_disfa", second.settings, options=replace(second.settings.options, population=5)
    )
    Mixture([first, other], LOADING).setup("fit")


def test_shared_people_can_be_left_out(settings_of: Small, caplog: pytest.LogCaptureFixture) -> None:
    members = _unlike(settings_of)
    before = [(member.split, member.fingerprint()) for member in members]
    mixture = Mixture(members, LOADING, MixtureSettings(shared_people="leave_out"))
    with caplog.at_level(logging.WARNING):
        mixture.setup("fit")
    assert "S008" in members[1].split.test
    assert "dataset 'synthetic_bp4d': left out, since tested elsewhere: S008" in caplog.text
    trained = {one.subject.partition(":")[2] for batch in _shown(mixture, 60) for one in batch}
    assert trained == set(members[0].split.train) | set(members[1].split.train)
    for member, (split, fingerprint) in zip(members, before, strict=True):
        assert trained.isdisjoint(member.split.val + member.split.test)
        assert member.split.test == split.test
        assert (member.fingerprint() == fingerprint) == (member.split == split)
    Mixture(members, LOADING).setup("fit")  # nothing is left to refuse


# ---- several processes


def _tested(mixture: Mixture, rank: int, world: int) -> list[list[AUSample]]:
    mixture.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
    return [[one for batch in loader for one in batch] for loader in mixture.test_dataloader()]


def _guess(samples: list[AUSample]) -> torch.Tensor:
    """Answers that depend on the picture alone, wrong often enough; one of them cannot be read."""
    means = torch.tensor([float(one.image.mean()) for one in samples])
    codes = len(samples[0].aus)
    answers = ((means[:, None] * 7 + torch.arange(codes)) % 3).floor()
    answers[means.argmax(), 0] = UNKNOWN
    return answers.clamp(max=1) if samples[0].scale is Scale.PRESENCE else answers


def _scores(mixture: Mixture, world: int) -> list[dict[str, float]]:
    """The scores of all processes together, merged as torchmetrics merges processes."""
    ranks = [_tested(mixture, rank, world) for rank in range(world)]
    assert all(len({len(part) for part in parts}) == 1 for parts in zip(*ranks, strict=True))
    found = []
    for number, member in enumerate(mixture.members):
        books = []
        for parts in ranks:
            book = ScoreBook(member.asked_aus, member.coded_scale())
            guesses = torch.stack([_GUESSED[one.sample_id, one.scale] for one in parts[number]])
            book.update(guesses, targets_of(parts[number]))
            books.append(book)
        for other in books[1:]:
            for name, metric in books[0].metrics.items():
                cast(Any, metric).merge_state(other.metrics[name])
        found.append(books[0].compute())
    return found


_GUESSED: dict[tuple[str, Scale], torch.Tensor] = {}


@pytest.mark.parametrize("samples", [None, 1, 4, 5])
def test_scores_are_the_same_at_one_two_and_three_processes(
    pair: list[AUDataModule], samples: int | None
) -> None:
    for member in pair:
        member.loading = replace(LOADING, test_samples=samples)
    mixture = Mixture(pair, LOADING)
    for faces in _tested(mixture, 0, 1):
        _GUESSED.update(
            {(one.sample_id, one.scale): guess for one, guess in zip(faces, _guess(faces), strict=True)}
        )
    one = _scores(mixture, 1)
    assert one[0]["support/AU2"] == (samples or len(pair[0].rows("test")))
    for world in (2, 3):
        for alone, together in zip(one, _scores(mixture, world), strict=True):
            assert together == pytest.approx(alone, nan_ok=True)


def test_padding_is_marked_and_has_no_target(pair: list[AUDataModule]) -> None:
    mixture = Mixture(pair, LOADING)
    whole = _tested(mixture, 0, 1)[0]
    last = _tested(mixture, 3, 4)[0]  # 6 faces for 4 processes: two of each, the last has none of its own
    assert (len(whole), len(last)) == (6, 2)
    assert [one.padding for one in whole] == [False] * 6
    assert all(one.padding for one in last)
    assert bool((targets_of(last) == UNKNOWN).all())
    assert not bool((targets_of(whole) == UNKNOWN).any())
