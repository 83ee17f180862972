"""Stream of training clips: a function of the clip's number, independent of ranks and of broken files."""

import hashlib
import os
import re
import signal
import traceback
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import active_children
from unittest.mock import Mock

import cv2
import numpy as np
import psutil
import pytest
import torch

from aotlab.configs.training import DataConfig, SourceConfig
from aotlab.dataloaders.training.clips import Clip
from aotlab.dataloaders.training.layouts import READERS
from aotlab.dataloaders.training.mixture import (
    ClipPreparationError,
    ClipTensors,
    Mixture,
    build_clip_loader,
    describe_mixture,
)
from aotlab.dataloaders.training.phases import open_mixture
from aotlab.dataloaders.training.sets import ImageSet
from aotlab.utils.errors import InputError, RunStopped
from aotlab_testing.in_memory import CROP, MemoryImage, draw_blocks, phase, write_videos
from aotlab_testing.marks import needs_posix
from aotlab_testing.processes import wait_until

VIDEOS, STATIC = SourceConfig(path="videos", max_gap=2), SourceConfig(path="static", kind="static")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    write_videos(root / "videos", "a", "b")
    write_videos(root / "static", "shapes", frames=3, start=5)
    return root


def mixture(root, *sources, seed=0, workers=0, **options):
    data = DataConfig(root=str(root), workers=workers)
    return open_mixture(data, phase(*sources, **options), seed, max_objects=10)


def build_mixture(*images, **options):
    """A mixture of single images."""
    return Mixture((ImageSet(images),), (1.0,), phase(STATIC, **options), DataConfig(workers=0), 0, 10)


def equal_clips(clip, other):
    return np.array_equal(clip.frames, other.frames) and np.array_equal(clip.labels, other.labels)


@pytest.mark.parametrize("source", [VIDEOS, STATIC])
@pytest.mark.parametrize("augmentation", ["aot", "deaot"])
def test_clip_depends_on_seed_phase_and_index_only(root, source, augmentation):
    options = {"augmentation": augmentation, "thin_plate": 0.5}
    first, again = (mixture(root, source, seed=3, **options) for _ in range(2))
    third = first[2]  # asked for first, and again last
    clips = [first[index] for index in range(4)]
    assert equal_clips(third, clips[2])
    assert equal_clips(third, again[2])
    assert not equal_clips(clips[1], clips[2])
    assert not equal_clips(mixture(root, source, seed=4, **options)[2], third)
    assert not equal_clips(mixture(root, source, seed=3, name="other", **options)[2], third)


@pytest.mark.skipif(cv2.__version__ < "5", reason="OpenCV 4 moves pixels on edges elsewhere: OpenCV 5 is pinned")
@pytest.mark.parametrize(("source", "digest"), [(VIDEOS, "4d4d9a0618d448a4"), (STATIC, "bdec523af33b8b2c")])
def test_drawn_labels_are_pinned(root, source, digest):
    clips, total = mixture(root, source, merge=0.5), hashlib.sha256()
    for index in range(8):  # not the frames, which OpenCV interpolates differently by machine
        clip = clips[index]
        names = [name.removeprefix(str(root)) for name in clip.names]
        total.update(f"{names} {clip.num_objects}".encode() + clip.labels.tobytes())
    assert total.hexdigest()[:16] == digest


@pytest.mark.parametrize("merged", [0.0, 1.0])
def test_labels_are_consecutive_on_the_reference_frame(root, merged):
    clips = mixture(root, VIDEOS, merge=merged)
    for index in range(6):
        clip = clips[index]
        assert clip.frames.shape == (3, CROP, CROP, 3)
        assert len(clip.names) == 1 + merged
        assert sorted(set(np.unique(clip.labels[0])) - {0, 255}) == list(range(1, clip.num_objects + 1))
        assert set(np.unique(clip.labels)) - {255} <= set(range(clip.num_objects + 1))


def test_sources_are_drawn_by_weight(root):
    sources = SourceConfig(path="videos", weight=1), SourceConfig(path="static", kind="static", weight=3)
    clips = mixture(root, *sources, merge=0.0, clip_length=2, crop=32)
    assert clips.weights == (0.25, 0.75)
    videos = sum(clips[index].names[0] in "ab" for index in range(200))
    assert 25 < videos < 75  # 50 expected, four standard deviations


def test_shares_of_composed_clips_match_the_phase(monkeypatch):
    composed = []
    monkeypatch.setattr(
        "aotlab.dataloaders.training.mixture.compose_clips",
        lambda first, second, rng, *, max_objects, entering: composed.append(entering) or first,
    )
    shares = {"merge": 0.5, "compose": 0.4, "entering": 0.5}
    images = [MemoryImage(draw_blocks(1, side=40), name) for name in "ab"]
    clips = build_mixture(*images, clip_length=2, **shares)
    for index in range(300):
        clips[index]
    assert 32 < len(composed) < 88  # 60 expected, four standard deviations
    assert 8 < sum(composed) < 52  # 30 expected


@pytest.mark.parametrize(("balance", "shares"), [(0.5, [2 / 3, 1 / 3]), (1.0, [0.5, 0.5])])
def test_balance_evens_out_image_sets(tmp_path, balance, shares):
    write_videos(tmp_path / "static", "large", "small", frames=8, size=(40, 48))
    for number in range(2, 8):
        (tmp_path / "static" / "JPEGImages" / "small" / f"{number:05d}.png").unlink()
    source = SourceConfig(path="static", kind="static", balance=balance)
    clips = mixture(tmp_path, source, merge=0.0, clip_length=2, crop=32)
    (drawn,) = clips.sources
    assert drawn.sampling_weights == pytest.approx(shares)
    assert [len(indices) for indices in drawn.folders.values()] == [8, 2]
    names = [clips[index].names[0] for index in range(200)]
    assert len(set(names)) == 10  # every image comes up
    small = sum("small" in name for name in names)
    assert abs(small - 200 * shares[1]) < 28  # four standard deviations
    assert describe_mixture(clips)[0] == (
        f"static (static): 10 images (large {100 * shares[0]:.0f} %, small {100 * shares[1]:.0f} %); "
        "100.0 % of the draws"
    )


def test_videos_shorter_than_a_clip_are_counted(root):
    line, _ = describe_mixture(mixture(root, VIDEOS, STATIC, clip_length=60))
    assert "gaps up to 2, 2 shorter than a clip, which then plays back and forth; " in line


def test_custom_reader_makes_the_clips(root, monkeypatch):
    class Blank:
        def describe(self, clip_length):
            return "blank frames"

        def sample_index(self, rng):
            return 7

        def sample(self, index, phase, rng, *, max_objects):
            frames = np.zeros((phase.clip_length, CROP, CROP, 3), np.uint8)
            return Clip(frames, np.ones(frames.shape[:3], np.uint8), 1, (f"blank {index}",))

    data, source = DataConfig(root=str(root)), SourceConfig(path="videos", kind="blank")
    monkeypatch.setitem(READERS, "blank", lambda folder, source: Blank())
    clips = open_mixture(data, phase(source, merge=0.0), 0, max_objects=10)
    assert clips[0].names == ("blank 7",)
    assert describe_mixture(clips) == ["videos (blank): blank frames; 100.0 % of the draws"]


def test_clip_without_object_is_merged():
    clips = build_mixture(
        MemoryImage(draw_blocks(0, side=40), "empty"), MemoryImage(draw_blocks(5, side=40), "full"), merge=0.0
    )
    found = [clips[index] for index in range(20)]
    assert {clip.names for clip in found} == {("empty", "full"), ("full",)}
    assert all(clip.num_objects == 1 for clip in found)


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_passes_errors_of_workers(tmp_path, workers):
    write_videos(tmp_path / "videos", "a")
    clips = mixture(tmp_path, VIDEOS, workers=workers)
    for path in (tmp_path / "videos" / "JPEGImages" / "a").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"0000.\.png: not readable"):
        next(build_clip_loader(clips, 0))
    assert active_children() == []


class FailingMixture(Mixture):
    """Raises its error for every clip."""

    error: Exception

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("error", "expected", "words"), [
    (RuntimeError("DataLoader worker"), ClipPreparationError, ", in __getitem__.*RuntimeError: DataLoader worker"),
    (OSError("a bug"), ClipPreparationError, ", in __getitem__.*OSError: a bug"),
    (RuntimeError("not enough memory: 9 bytes"), MemoryError, "not enough memory: 9 bytes"),
])  # fmt: skip
def test_bug_in_a_worker_keeps_its_traceback(workers, error, expected, words):
    FailingMixture.error = error
    clips = FailingMixture((), (), phase(), DataConfig(workers=workers), 0, 10)
    before = active_children()
    with pytest.raises(expected) as caught:
        next(build_clip_loader(clips, 0))
    assert set(active_children()) <= set(before)  # also while the error is kept
    assert re.search(words, "".join(traceback.format_exception(caught.value)), re.DOTALL)


def test_failure_to_pin_a_batch_is_not_a_dead_worker():
    tensor = Mock(pin_memory=Mock(side_effect=RuntimeError("CUDA error")))
    with pytest.raises(ClipPreparationError, match="CUDA error"):
        ClipTensors(tensor, tensor, [], []).pin_memory()


@needs_posix
def test_worker_deaths_do_not_interrupt_the_main_thread(root):
    before = signal.getsignal(signal.SIGCHLD)
    next(build_clip_loader(mixture(root, STATIC, workers=1), 0))
    assert signal.getsignal(signal.SIGCHLD) is before


def test_loader_can_start_at_a_later_step(root):
    clips = mixture(root, VIDEOS)
    batches = list(build_clip_loader(clips, 0))
    assert len(batches) == 4
    assert batches[0].frames.shape == (3, 2, CROP, CROP, 3)
    assert batches[0].target_indices.shape == (3, 2, CROP, CROP)
    assert batches[0].target_indices.dtype == torch.int64
    for batch, later in zip(batches[2:], build_clip_loader(clips, 2), strict=True):
        assert batch.frames.equal(later.frames)
        assert batch.target_indices.equal(later.target_indices)
        assert (batch.num_objects, batch.names) == (later.num_objects, later.names)


def test_batches_do_not_depend_on_workers(root):
    alone, helped = (mixture(root, STATIC, workers=workers, augmentation="deaot") for workers in (0, 2))
    for batch, other in zip(build_clip_loader(alone, 0), build_clip_loader(helped, 0), strict=True):
        assert batch.frames.equal(other.frames)
        assert batch.names == other.names


@pytest.mark.parametrize(("ranks", "parts"), [(1, 4), (2, 1), (2, 2), (4, 1)])
def test_ranks_and_parts_share_a_batch(root, ranks, parts):
    clips = mixture(root, STATIC, batch=4, steps=3)
    whole = list(build_clip_loader(clips, 1))
    pieces = [list(build_clip_loader(clips, 1, rank, ranks, parts)) for rank in range(ranks)]
    assert [len(own) for own in pieces] == [2 * parts] * ranks
    for step, batch in enumerate(whole):
        in_order = [pieces[rank][step * parts + part] for part in range(parts) for rank in range(ranks)]
        assert torch.cat([piece.frames for piece in in_order], dim=1).equal(batch.frames)
        assert torch.cat([piece.target_indices for piece in in_order], dim=1).equal(batch.target_indices)
        assert [name for piece in in_order for name in piece.names] == batch.names


def test_indivisible_batch_rejected(root):
    clips = mixture(root, STATIC, batch=6)
    words = r"train\.phases\.batch=6 of p: .* train\.accumulate=2 times 2 ranks; .* multiple of 4"
    with pytest.raises(InputError, match=words):
        build_clip_loader(clips, 0, 0, 2, 2)


def test_clips_are_also_loaded_in_another_thread(root):
    with ThreadPoolExecutor() as threads:
        (batch,) = threads.submit(lambda: [*build_clip_loader(mixture(root, STATIC, steps=1), 0)]).result()
    assert batch.frames.any()


@needs_posix
@pytest.mark.slow  # the loader looks after its workers every 5 seconds
def test_dead_worker_stops_the_run(root):
    clips = mixture(root, STATIC, workers=1, steps=500)
    before = {*active_children()}
    batches = build_clip_loader(clips, 0)
    next(batches)
    (worker,) = {*active_children()} - before
    worker.kill()
    wait_until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(RunStopped, match=r"a process that prepares clips died .* lower data\.workers"):
        for _ in batches:
            pass


@needs_posix
def test_worker_leaves_the_first_signal_to_its_parent(root):
    before = {*active_children()}
    batches = build_clip_loader(mixture(root, STATIC, workers=1, steps=500), 0)
    next(batches)
    (worker,) = {*active_children()} - before
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        os.kill(worker.pid, number)
        for _ in range(5):  # more than are prepared in advance
            next(batches)
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: not worker.is_alive())


@pytest.mark.parametrize(("data", "sources", "words"), [
    ({"root": None}, [VIDEOS], r"data\.root: not set"),
    ({"root": "/nowhere"}, [VIDEOS], r"/nowhere: no such folder; expected data\.root"),
    ({}, [], "phase p has no sources"),
    ({}, [SourceConfig(path="gone")], r"gone: no such folder"),
    ({}, [SourceConfig(path="videos", balance=0.5)], "balance is for kind static"),
])  # fmt: skip
def test_missing_or_invalid_data_rejected(root, data, sources, words):
    with pytest.raises(InputError, match=words):
        open_mixture(DataConfig(**{"root": str(root), **data}), phase(*sources), 0, max_objects=10)
