"""The original pictures of a sequence by number, whether they are files, members of an archive or a video."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from datamodules.archives import Archives, members, split_member
from datamodules.errors import BrokenVideoError, DatasetError
from datamodules.findings import Findings
from datamodules.images import inside, read_image
from datamodules.labels import PICTURES, natural, numbered
from datamodules.layout import code
from datamodules.video import Videos, frame_count, split_place

_PERSON = re.compile(r"[FM]\d+")

Places = dict[int, str]
"""Number of a picture -> its place: a path below the root, with a frame or a member of an archive if need
be."""


class RawPictures:
    """Finds and reads the pictures below one root; goes to loader processes with its dataset.

    Args:
        root: of the dataset.
        findings: where a broken video is reported.
    """

    def __init__(self, root: Path, findings: Findings) -> None:
        self.root = root
        self.findings = findings
        self._videos = Videos()
        self._archives = Archives()

    def of_folder(self, folder: Path) -> Places:
        """The picture files of a folder by the number in their names, whatever its width."""
        where = folder.relative_to(self.root).as_posix()
        return {number: f"{where}/{path.name}" for number, path in numbered(folder).items()}

    def of_video(self, path: Path) -> Places:
        """The frames of a video, counted from 0; none (and a finding) if it cannot be opened."""
        where = path.relative_to(self.root).as_posix()
        try:
            return {number: f"{where}#{number}" for number in range(frame_count(path))}
        except BrokenVideoError as error:
            self.findings.add("broken-video", path, f"{error}; its frames are left out")
            return {}

    def of_archive(self, path: Path) -> dict[str, Places]:
        """The picture files in a zip file: code of the folder they are in (``T1``) -> pictures by number.

        Raises:
            DatasetError: two pictures of one folder have one number, or they are another person's.
        """
        where = path.relative_to(self.root).as_posix()
        found: dict[str, Places] = {}
        for name in members(path):
            member = PurePosixPath(name)
            if member.suffix.lower() not in PICTURES or member.name.startswith(".") or name.startswith("__"):
                continue
            folder = code(member.parent.name)
            if folder is None or not any(letter.isdecimal() for letter in member.stem):
                continue
            self._refuse_other_person(path, member)
            number, places = natural(member.stem), found.setdefault(folder, {})
            if number in places:
                raise DatasetError(f"{path} holds number {number} of {folder} twice: download it again")
            places[number] = f"{where}!/{name}"
        return found

    @staticmethod
    def _refuse_other_person(archive: Path, member: PurePosixPath) -> None:
        """``F001.zip`` with members of F029 would put one person's labels on another's face."""
        for part in member.parts[:-2]:
            shown = code(part)
            if shown is not None and _PERSON.fullmatch(shown) and shown != code(archive.stem):
                raise DatasetError(
                    f"{archive} holds pictures of {part} ({member}) and not of {archive.stem}: give it its "
                    "own name, or download it again"
                )

    def load(self, place: str) -> npt.NDArray[np.uint8]:
        """The picture at a place, RGB uint8 [H, W, 3]."""
        origin = f"the index of {self.root}"
        path, frame = split_place(place)
        if frame is not None:
            return self._videos.frame(inside(self.root, path, origin), frame)
        path, member = split_member(place)
        if member is None:
            return read_image(inside(self.root, path, origin))
        archive = inside(self.root, path, origin)
        return read_image(archive / member, self._archives.read(archive, member))
