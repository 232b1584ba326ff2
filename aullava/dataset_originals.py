"""A dataset as it was unpacked, for the verbs that read the originals whatever a config says of crops."""

from __future__ import annotations

from dataclasses import replace

from aullava.build import build_dataset
from aullava.config.schema import DatasetConfig, FacesConfig
from datamodules.base import AUDataModule
from datamodules.options import LoaderSettings


def build_originals(name: str, config: DatasetConfig) -> AUDataModule:
    """The dataset of a name on its original pictures.

    Args:
        name: registered name.
        config: root and options; a store or crop settings in it are not looked at.
    """
    return build_dataset(name, replace(config, prepared=None, faces=FacesConfig()), LoaderSettings())
