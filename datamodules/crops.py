"""Where the picture of a row comes from: the original, the face cut out of it, or a prepared store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps

from datamodules.errors import DatasetError
from datamodules.findings import Findings
from datamodules.index import Index
from datamodules.options import DatasetSettings
from datamodules.workers import of_all_processes

if TYPE_CHECKING:
    from datamodules.faces import FaceFinder
    from datamodules.store import FaceStore

Picture = npt.NDArray[np.uint8]

_MISSED, _TOLD = 1, 2
"""Of a row: no face was found in it, and that has become a finding."""


class Crops:
    """The pictures of one dataset as its settings want them.

    Args:
        dataset: registered name, which a store must have been made of.
        settings: `prepared` goes before `faces`.
        findings: gets the faces that were not found.
    """

    def __init__(self, dataset: str, settings: DatasetSettings, findings: Findings) -> None:
        self.dataset = dataset
        self.settings = settings
        self.findings = findings
        self._faces: torch.Tensor | None = None  # [N] uint8, shared with loader processes: what was seen
        self._store: FaceStore | None = None
        self._finder: FaceFinder | None = None

    def usable(self, index: Index) -> npt.NDArray[np.bool_] | None:
        """[N]: which rows have a picture; None: all of them (without a store nothing else is known before).

        An index of labels alone has no places: what the store does not know had no picture when the store was
        made, and is left out as what has no face.

        Raises:
            DatasetError: the store is missing, or of other samples.
        """
        if self.settings.prepared is None:
            return None
        store = self.store()
        if index.places[0]:
            found = store.usable(index.sample_ids, index.places)
        else:
            found = np.isin(index.sample_ids, [*store.ids(), *store.missing()])
            found[found] = store.usable(index.sample_ids[found] if found.any() else index.sample_ids)
        if not found.all():
            first, count = str(index.sample_ids[int(np.argmin(found))]), int((~found).sum())
            said = f"{count} of {len(index)} samples of dataset '{self.dataset}' are left out: the store "
            reason = store.missing().get(first, "it was prepared without this sample")
            said += f"{self.settings.prepared} has no face of them (first '{first}': {reason})"
            self.findings.add("no-face", self.settings.prepared, said, count)
        return found

    def watch(self, rows: int) -> None:
        """Make room to note of every row, in whichever process it is read, that it shows no face."""
        if self.settings.prepared is None and self.settings.faces is not None and self._faces is None:
            self._faces = torch.zeros(rows, dtype=torch.uint8)
            self._faces.share_memory_()  # type: ignore[no-untyped-call]

    def tell_missed(self, sample_ids: npt.NDArray[np.str_], everywhere: bool = False) -> None:
        """Make a finding of every face that was not found since the last call, by loader processes too.

        Args:
            sample_ids: of the index.
            everywhere: in the other training processes too; all of them must call this.

        Raises:
            DatasetError: the findings are strict.
        """
        if self._faces is None:
            return
        missed = torch.nonzero(self._faces == _MISSED).flatten().tolist()
        for row in of_all_processes(missed) if everywhere else missed:
            self._faces[row] = _TOLD
            self.findings.add("middle-shown", str(sample_ids[row]), self._middle(str(sample_ids[row])))

    def _middle(self, sample_id: str) -> str:
        said = f"no face is found in '{sample_id}' of dataset '{self.dataset}': its middle is shown, "
        return said + f"`aullava prepare {self.dataset}` would leave it out"

    def picture(self, row: int, sample_id: str, original: Callable[[], Picture]) -> Picture:
        """The picture of a sample, RGB uint8 [H, W, 3].

        A face that is not found while reading is shown as the middle square of its picture: whether there is
        a face is known before training only with a prepared store. Which rows that were is noted for
        `tell_missed`.

        Raises:
            DatasetError: no face is found, and the findings are strict.
        """
        if self.settings.prepared is not None:
            return self.store().read(sample_id)
        if self.settings.faces is None:
            return original()
        image = original()
        crop = self.finder().crop(image)
        if crop is not None:
            return np.ascontiguousarray(crop.image)
        if self.findings.strict:
            raise DatasetError(self._middle(sample_id))
        if self._faces is not None and not self._faces[row]:
            self._faces[row] = _MISSED
        size = self.settings.faces.size
        return np.array(ImageOps.fit(Image.fromarray(image), (size, size), Image.Resampling.LANCZOS))

    def told(self) -> str:
        """A text that is equal for equal crops; empty for whole pictures."""
        if self.settings.prepared is not None:
            return f":{self.store().settings.identity()}"
        return "" if self.settings.faces is None else f":{self.settings.faces}"

    def record(self) -> dict[str, Any]:
        """How the pictures were cut, for the record of a run; empty for whole pictures."""
        if self.settings.prepared is not None:
            return {"store": str(self.settings.prepared), **asdict(self.store().settings)}
        return {} if self.settings.faces is None else {"faces": asdict(self.settings.faces)}

    def store(self) -> FaceStore:
        """The prepared store, opened once.

        Raises:
            DatasetError: it is missing, damaged or of another dataset.
        """
        if self._store is None:
            from datamodules.store import FaceStore

            assert self.settings.prepared is not None
            store = FaceStore.open(self.settings.prepared)
            made_of = store.settings.dataset
            if made_of != self.dataset:
                raise DatasetError(
                    f"the store {self.settings.prepared} was prepared from dataset '{made_of}': set "
                    f"data.datasets.{self.dataset}.prepared to the store of '{self.dataset}'"
                )
            self._store = store
        return self._store

    def finder(self) -> FaceFinder:
        """What finds faces, made once in each process that needs it."""
        if self._finder is None:
            from datamodules.faces import FaceFinder

            assert self.settings.faces is not None
            self._finder = FaceFinder(self.settings.faces)
        return self._finder

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_finder": None}
