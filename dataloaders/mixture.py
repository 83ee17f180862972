"""The stream of training clips: clip number i of a run is a pure function of the seed and i."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from configs.training import DataConfig, PhaseConfig
from dataloaders.clips import Clip, StaticImages, VideoClips, merge, open_source
from utils.errors import InputError


class ClipTensors(NamedTuple):
    """A batch as the loader gives it."""

    frames: Tensor
    """T×B×H×W×3 uint8"""
    labels: Tensor
    """T×B×H×W int64"""
    objects: list[int]


@dataclass(frozen=True)
class Mixture(Dataset[Clip]):
    """Clips of several sources, drawn by weight."""

    sources: tuple[StaticImages | VideoClips, ...]
    weights: tuple[float, ...]
    phase: PhaseConfig
    data: DataConfig
    seed: int

    def __len__(self) -> int:
        return self.phase.steps * self.phase.batch

    def __getitem__(self, index: int) -> Clip:
        rng = np.random.default_rng([self.seed, index])
        clip = self._draw(rng)
        if clip.objects == 0 or rng.random() < self.phase.merge:
            clip = merge(clip, self._draw(rng), rng)
        return clip

    def _draw(self, rng: np.random.Generator) -> Clip:
        source = self.sources[rng.choice(len(self.sources), p=self.weights)]
        phase = self.phase
        return source.sample(phase.clip_length, phase.crop, phase.short_edge, rng)


def open_mixture(data: DataConfig, phase: PhaseConfig, seed: int) -> Mixture:
    """Find all sources of a phase.

    Raises:
        InputError: data.root is not set, or a source has no data.
    """
    root = data_root(data)
    if not phase.sources:
        raise InputError(f"train.phases: phase {phase.name} names no sources; add at least one")
    sources = tuple(open_source(root, source) for source in phase.sources)
    weights = np.array([source.weight for source in phase.sources])
    return Mixture(sources, tuple((weights / weights.sum()).tolist()), phase, data, seed)


def data_root(data: DataConfig) -> Path:
    """The folder that holds the sources.

    Raises:
        InputError: not set, or no such folder.
    """
    if data.root is None:
        raise InputError("data.root: not set; give the folder that holds the training sets, data.root=FOLDER")
    root = Path(data.root)
    if not root.is_dir():
        raise InputError(f"data.root={root}: no such folder; give the folder that holds the training sets")
    return root


def clip_loader(mixture: Mixture, first_step: int) -> Iterator[ClipTensors]:
    """Batches of a phase from ``first_step`` (counted from 0) to its end, prepared by worker processes."""
    batch = mixture.phase.batch
    loader: DataLoader[Clip] = DataLoader(
        mixture,
        batch_size=batch,
        sampler=range(first_step * batch, len(mixture)),
        num_workers=mixture.data.workers,
        collate_fn=stack_clips,
        worker_init_fn=_single_thread,
        # A loader draws a seed when it starts; from the global generator it would shift what a resumed run draws.
        generator=torch.Generator(),
    )
    return iter(loader)


def stack_clips(clips: Sequence[Clip]) -> ClipTensors:
    """Put clips side by side, time first."""
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips], axis=1))
    labels = torch.from_numpy(np.stack([clip.labels for clip in clips], axis=1)).long()
    return ClipTensors(frames, labels, [clip.objects for clip in clips])


def _single_thread(_: int) -> None:
    """Keep a worker from taking the cores that the model computes on."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
