"""Reads a whole dataset, labels and pictures, and says what is there, what is missing and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from datamodules.action_units import UNKNOWN
from datamodules.base import AUDataModule
from datamodules.check_counts import Compared, LabelCounts, compare, count_labels
from datamodules.errors import DatasetError, LabelOutOfRangeError
from datamodules.expected_counts import Expected
from datamodules.findings import Finding, Findings
from datamodules.index import Index, check_index, out_of_range

BROKEN = ("label-out-of-range", "broken-image", "missing-labels", "frame-count", "broken-video")
"""Findings that stop a training, or speak of a broken structure: the check ends with exit code 2."""

KEPT = 50
"""Labels out of range, and broken pictures, that are listed one by one; the others are counted."""

Looked = tuple[int, tuple[int, int], str]  # row, width and height, what is wrong (empty: nothing)
Progress = Callable[[Iterator[list[Looked]], int], Iterator[list[Looked]]]


@dataclass(frozen=True, slots=True)
class PartSize:
    """One fold of one protocol: people and faces of its three parts."""

    protocol: str
    fold: int
    people: tuple[int, int, int]
    faces: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a dataset.

    Attributes:
        module: the dataset.
        index: all its labelled faces; labels out of range are unknown in it.
        counts: what its labels add up to.
        findings: everything that is not as it should be.
        compared: numbers beside their published values; empty if none are known.
        expected: the published values.
        sizes: pictures of each size (width, height); empty if no picture was read.
        folds: the sizes of all folds.
        pictures_read: how many pictures were decoded.
    """

    module: AUDataModule
    index: Index
    counts: LabelCounts
    findings: Findings
    compared: list[Compared]
    expected: Expected | None
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    folds: list[PartSize] = field(default_factory=list)
    pictures_read: int = 0

    @property
    def broken(self) -> list[Finding]:
        """The findings that stop a training."""
        return [finding for finding in self.findings if finding.kind in BROKEN]


def check_dataset(
    module: AUDataModule, pictures: bool = True, workers: int = 0, progress: Progress | None = None
) -> Checked:
    """Read everything of a dataset.

    Args:
        module: the dataset; the index is read anew, whatever the cache holds.
        pictures: decode every picture too.
        workers: processes that decode; 0: this one.
        progress: shows how far the pictures are; gets the blocks of results and the number of faces.

    Raises:
        DatasetError: the structure is broken (a label file is missing, cannot be read or contradicts itself),
            the protocol that the settings name cannot be had, or the settings are strict and something was
            found.
    """
    module.prepare_data()
    findings = module.findings
    findings.clear()
    codes, scale = module.coded_aus(), module.coded_scale()
    built = _within_range(module.build_index(), module)
    index = check_index(built, module.name, codes, scale, str(module.settings.root or module.name))
    expected = module.expected()
    compared = [] if expected is None else compare(index, codes, scale, expected)
    for one in compared:
        if not one.agrees and expected is not None:
            findings.add("count-differs", one.what, one.sentence(expected.source))
    counts = count_labels(index, codes, scale, module.present_from)
    folds = _folds(module, counts.subjects)
    sizes: Counter[tuple[int, int]] = Counter()
    if pictures:
        sizes = _read_pictures(module, index, workers, progress)
    return Checked(module, index, counts, findings, compared, expected, dict(sizes), folds, sizes.total())


def _within_range(index: Index, module: AUDataModule) -> Index:
    """The index with every label that is not on the scale reported, and unknown."""
    scale, codes = module.coded_scale(), module.coded_aus()
    wrong = out_of_range(index.labels, scale)
    if not len(wrong):
        return index
    for row, column in wrong[:KEPT]:
        origin, value = str(index.origins[row]), float(index.labels[row, column])
        error = LabelOutOfRangeError.of(origin, codes[column], value, scale, scale.in_words)
        module.findings.add("label-out-of-range", origin, str(error))
    if len(wrong) > KEPT:
        said = f"{len(wrong) - KEPT} more labels are outside the scale '{scale}': correct the files"
        module.findings.add("label-out-of-range", module.name, said, len(wrong) - KEPT)
    labels = np.array(index.labels)
    labels[wrong[:, 0], wrong[:, 1]] = UNKNOWN
    return Index(index.sample_ids, index.subjects, index.places, labels, index.origins, index.attributes)


class _Pictures(IterableDataset[Looked]):
    """Decodes the pictures of an index; each worker takes one run of rows, so that videos are read once."""

    def __init__(self, module: AUDataModule, index: Index) -> None:
        self.module = module
        self.index = index

    def __iter__(self) -> Iterator[Looked]:
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        share = -(-len(self.index) // count)
        for row in range(number * share, min((number + 1) * share, len(self.index))):
            try:
                height, width = self.module.load_image(str(self.index.places[row])).shape[:2]
            except DatasetError as error:
                yield row, (0, 0), str(error)
            else:
                yield row, (width, height), ""


def _read_pictures(
    module: AUDataModule, index: Index, workers: int, progress: Progress | None
) -> Counter[tuple[int, int]]:
    """Decode every picture; the broken ones become findings.

    Returns:
        How many pictures have which width and height.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    broken = 0
    loader = DataLoader(_Pictures(module, index), batch_size=64, num_workers=workers, collate_fn=list)
    blocks: Iterator[list[Looked]] = iter(loader)
    for block in blocks if progress is None else progress(blocks, len(index)):
        for row, size, wrong in block:
            if not wrong:
                sizes[size] += 1
                continue
            broken += 1
            if broken <= KEPT:
                module.findings.add("broken-image", str(index.sample_ids[row]), wrong)
    if broken > KEPT:
        said = f"{broken - KEPT} more pictures cannot be read: replace them, or unpack the dataset again"
        module.findings.add("broken-image", module.name, said, broken - KEPT)
    return sizes


def _folds(module: AUDataModule, frames: Mapping[str, int]) -> list[PartSize]:
    """People and faces of the parts of every fold of every protocol that can be had.

    Args:
        module: the dataset.
        frames: faces of each person, people sorted.
    """
    people, found = list(frames), []
    for name in module.protocols:
        try:
            protocol = module.protocol(name, people)
            for fold in range(1, len(protocol.folds) + 1):
                split = protocol.split(people, fold)
                parts = [split.part(part) for part in ("train", "val", "test")]
                faces = [sum(frames[person] for person in part) for part in parts]
                sizes = (len(parts[0]), len(parts[1]), len(parts[2]))
                found.append(PartSize(name, fold, sizes, (faces[0], faces[1], faces[2])))
        except DatasetError as error:
            # Others may wait for a list of the user's, or for more people than a small copy has.
            if name == module.settings.protocol:  # asked for by name: a training would stop at it too
                raise
            if name == module.protocols[0]:
                module.findings.add("no-split", name, str(error))
    return found
