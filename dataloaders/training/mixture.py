"""Stream of training clips: clip i of a phase is a pure function of the seed, the phase's name and i."""

from __future__ import annotations

import pickle
import signal
import traceback
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aotlab.configs.training import DataConfig, PhaseConfig, SourceConfig
from aotlab.dataloaders.training.clips import Clip, Transform, compose_clips, merge_clips, transform_clip
from aotlab.dataloaders.training.sets import ClipSource
from aotlab.utils.errors import InputError, RunStopped, is_out_of_memory, require
from aotlab.utils.files import describe_error
from aotlab.utils.plugins import list_plugin_files, load_plugin_file
from aotlab.utils.signals import STOP_SIGNALS

OTHER_TRIES = 10
"""Number of attempts to draw another item to paste over an item."""


class ClipPreparationError(Exception):
    """Internal error in the preparation of clips."""


@contextmanager
def wrap_worker_errors() -> Iterator[None]:
    """Turn errors of the block into types that a loader does not raise if a worker dies; `InputError` stays."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(str(error)) from error
        raise ClipPreparationError(repr(error)) from error


class ClipTensors(NamedTuple):
    """A batch of clips."""

    frames: Tensor
    """T×B×H×W×3 uint8."""
    target_indices: Tensor
    """T×B×H×W int64: 0 background, 1 to ``num_objects[b]``, 255 ignored."""
    num_objects: list[int]
    names: list[tuple[str, ...]]
    """Names of the images and videos of each clip."""

    def pin_memory(self) -> ClipTensors:
        """Return the batch in page-locked memory; called by the loader."""
        with wrap_worker_errors():
            return self._replace(frames=self.frames.pin_memory(), target_indices=self.target_indices.pin_memory())


@dataclass(frozen=True)
class Mixture:
    """Clips from several sources, sampled by weight."""

    sources: tuple[ClipSource, ...]
    weights: tuple[float, ...]
    """Sampling probabilities of the sources, which add up to 1."""
    phase: PhaseConfig
    data: DataConfig
    seed: int
    max_objects: int
    transforms: tuple[Transform, ...] = ()

    def __len__(self) -> int:
        return self.phase.steps * self.phase.batch

    def __getitem__(self, index: int) -> Clip:
        """Return clip ``index``; raise `InputError` if an item cannot be read."""
        key = self.seed, crc32(self.phase.name.encode()), index
        clip = self._make_clip(np.random.default_rng([*key, 0]))
        rng = np.random.default_rng([*key, 1])
        for transform in self.transforms:
            clip = transform_clip(clip, transform, rng)
        return clip

    def _make_clip(self, rng: np.random.Generator) -> Clip:
        """Make a clip of one item, usually with the objects of another pasted over it."""
        item = self._draw_item(rng)
        clip = self._sample(item, rng)
        if clip.num_objects and rng.random() >= self.phase.merge:
            return clip
        other = self._draw_item(rng)
        for _ in range(OTHER_TRIES):  # another item, if the source has others
            if other != item:
                break
            other = self._draw_item(rng)
        moving = self.phase.compose and rng.random() < self.phase.compose
        pasted = self._sample(other, rng)
        if not moving:
            return merge_clips(clip, pasted, rng, max_objects=self.max_objects)
        entering = bool(self.phase.entering) and rng.random() < self.phase.entering
        return compose_clips(clip, pasted, rng, max_objects=self.max_objects, entering=entering)

    def _draw_item(self, rng: np.random.Generator) -> tuple[int, int]:
        number = int(rng.choice(len(self.sources), p=self.weights))
        return number, self.sources[number].sample_index(rng)

    def _sample(self, item: tuple[int, int], rng: np.random.Generator) -> Clip:
        source, index = item
        return self.sources[source].sample(index, self.phase, rng, max_objects=self.max_objects)


def describe_mixture(mixture: Mixture) -> list[str]:
    """Return a line per source: kind, path, number of items and sampling weight."""
    lines = []
    for config, source, share in zip(mixture.phase.sources, mixture.sources, mixture.weights, strict=True):
        contents = source.describe(mixture.phase.clip_length)
        lines.append(f"{describe_source(config)}: {contents}; {100 * share:.1f} % of the draws")
    return lines


def describe_source(config: SourceConfig) -> str:
    """Return the name of a source in messages: its path in the recipe, kind and split."""
    return f"{config.path} ({config.kind}{f', {config.split}' if config.split else ''})"


def build_clip_loader(
    mixture: Mixture,
    first_step: int,
    rank: int = 0,
    ranks: int = 1,
    micro_batches: int = 1,
    *,
    pin_memory: bool = False,
) -> Generator[ClipTensors, None, None]:
    """Yield the batches of a phase from ``first_step`` (from 0) to its end, prepared by worker processes.

    The clips of a step are split into ``micro_batches`` times ``ranks`` equal shares; a rank gets its share of each,
    in page-locked memory if requested. The clips of a step do not depend on the number of ranks. Close the generator if
    it is not read to its end: its processes would keep Python from exiting. Raises `InputError` if the batch cannot be
    split evenly or an item cannot be read, and `RunStopped` if a worker process dies.
    """
    phase, size = mixture.phase, split_batch(mixture.phase, ranks, micro_batches)
    starts = range(first_step * phase.batch + rank * size, phase.steps * phase.batch, ranks * size)
    loader: DataLoader[ClipTensors | InputError] = DataLoader(
        _BatchDataset(mixture),
        batch_size=None,
        sampler=(range(start, start + size) for start in starts),  # type: ignore[arg-type]
        num_workers=mixture.data.workers,
        worker_init_fn=_start_worker,
        pin_memory=pin_memory,
        # A loader draws a seed when it starts; the global generator would shift the draws of a resumed run.
        generator=torch.Generator(),
    )
    # Started in the main thread, it would raise a worker's death at any line there, even in the middle of an optimizer
    # step; otherwise the next batch raises it.
    with ThreadPoolExecutor(1) as thread:
        batches = thread.submit(iter, loader).result()
    return _raise_errors(batches)


def split_batch(phase: PhaseConfig, ranks: int, micro_batches: int) -> int:
    """Return the clips of each rank's share of a micro-batch; raises `InputError` unless all shares are equal."""
    size, rest = divmod(phase.batch, ranks * micro_batches)
    require(
        not rest,
        f"cannot be split evenly over train.accumulate={micro_batches} times {ranks} ranks",
        subject=f"train.phases.batch={phase.batch} of {phase.name}",
        remedy=f"give a multiple of {ranks * micro_batches}",
    )
    return size


@dataclass(frozen=True)
class _BatchDataset(Dataset["ClipTensors | InputError"]):
    """Batches by clip indices. Bad input is returned as a value; raised in a worker, it would lose its message."""

    mixture: Mixture

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a worker load plug-in files before the mixture, which may hold their objects."""
        return _load_dataset, (list_plugin_files(), pickle.dumps(self.mixture))

    def __getitem__(self, numbers: range) -> ClipTensors | InputError:
        try:
            with wrap_worker_errors():
                return stack_clips([self.mixture[number] for number in numbers])
        except InputError as error:
            return error


def _load_dataset(plugin_files: Sequence[Path], mixture: bytes) -> _BatchDataset:
    for path in plugin_files:
        load_plugin_file(path)
    return _BatchDataset(pickle.loads(mixture))


def stack_clips(clips: Sequence[Clip]) -> ClipTensors:
    """Stack clips, time first."""
    return ClipTensors(
        torch.from_numpy(np.stack([clip.frames for clip in clips], axis=1)),
        torch.from_numpy(np.stack([clip.labels for clip in clips], axis=1)).long(),
        [clip.num_objects for clip in clips],
        [clip.names for clip in clips],
    )


def _raise_errors(batches: Iterator[ClipTensors | InputError]) -> Generator[ClipTensors, None, None]:
    """Yield the batches of a loader and raise the errors of its workers."""
    try:
        for batch in batches:
            if isinstance(batch, InputError):
                raise batch
            yield batch
    except Exception as error:
        traceback.clear_frames(error.__traceback__)  # those of the loader hold its workers, which have to stop now
        if not isinstance(error, (RuntimeError, OSError, EOFError)):  # our own, see `wrap_worker_errors`
            raise
        raise RunStopped(
            f"a process that prepares clips died ({describe_error(error)}), perhaps for lack of memory or /dev/shm; "
            "lower data.workers"
        ) from error
    finally:
        del batches  # stop the workers now, not when the last traceback is freed


def _start_worker(_: int) -> None:
    """Limit a worker to one thread, and leave the first signal to its parent: it may be sent to the whole group."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: signal.signal(number, signal.SIG_DFL))
