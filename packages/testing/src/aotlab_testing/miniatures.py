"""Every benchmark in miniature, drawn, in the layout in which it is distributed.

``make(name, root)`` makes what ``open_dataset(name, root)`` reads; `write_perturbed` makes results for it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.object_masks import extract_object_ids
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.media.masks import read_mask, write_mask
from aotlab_testing.drawn_clips import (
    Clip,
    draw_moving_clip,
    stems_from,
    write_davis,
    write_frames,
    write_list,
    write_lvos_meta,
    write_split,
    write_youtube_meta,
)


def make(name: str, root: Path) -> None:
    """Make a benchmark with its public and its hidden splits."""
    MAKERS[name](root)


def open_dataset(name: str, root: Path | None = None, split: str = "val", **options: bool) -> list[Video]:
    """Read the videos of a benchmark's split; ``options``: those of the benchmark that are on."""
    return find_benchmark(name, [option for option, value in options.items() if value]).open_videos(root, split)


def make_with_results(name: str, folder: Path, split: str = "val", **options: bool) -> list[Video]:
    """Make a benchmark in ``folder/root`` and perturbed results in ``folder/results``; return its videos."""
    if not (folder / "root").exists():
        make(name, folder / "root")
    videos = open_dataset(name, folder / "root", split, **options)
    write_perturbed(videos, folder / "results")
    return videos


def scored_split(name: str) -> str:
    """Return the split of a benchmark whose annotations are public."""
    return "train" if name.startswith(("youtubevos", "mose")) else "val"


def draw_davis_clip(frames: int, ids: dict[int, int] | None = None, *, seed: int) -> Clip:
    """Draw a narrow clip of the height that results for DAVIS have."""
    return draw_moving_clip(stems_from(0, frames), ids, seed=seed, size=(480, 200))


def make_davis2016(root: Path) -> None:
    """val: two sequences, lists of frames as in the first release; one is labeled 0 and 255."""
    clips = {"bear": draw_davis_clip(5, seed=1), "camel": draw_davis_clip(4, {255: 0}, seed=2)}
    write_davis(root, clips, "480p", "val")
    lines = [
        f"/JPEGImages/480p/{name}/{stem}.jpg /Annotations/480p/{name}/{stem}.png"
        for name, clip in clips.items()
        for stem in clip.stems
    ]
    write_list(root / "ImageSets" / "480p" / "val.txt", lines)


def make_davis2017(root: Path) -> None:
    """val: two sequences; test-dev: two with the first mask alone."""
    clips = {"bear": draw_davis_clip(5, seed=1), "camel": draw_davis_clip(4, {1: 0}, seed=2)}
    write_davis(root, clips, "2017", "val")
    hidden = {"deer": draw_davis_clip(4, seed=3), "eagle": draw_davis_clip(3, seed=4)}
    write_davis(root, hidden, "2017", "test-dev", first_only=True)


def make_youtubevos(root: Path) -> None:
    """train with categories; valid with first masks alone, an object that comes late, and all frames."""
    clips = {
        "0a1b2c3d4e": draw_moving_clip(stems_from(0, 6, 5), {2: 0, 5: 0, 3: 2}, seed=1),
        "1f00aa2233": draw_moving_clip(stems_from(0, 5, 5), {1: 0}, seed=2),
    }
    write_split(root / "train", clips)
    write_youtube_meta(root / "train", clips, categories=True)
    write_list(root / "seen_categories.txt", ["fish"])
    late, whole = clips["0a1b2c3d4e"].stems, clips["1f00aa2233"].stems
    write_split(root / "valid", clips, labels={"0a1b2c3d4e": [late[0], late[2]], "1f00aa2233": whole[:1]})
    write_youtube_meta(root / "valid", clips, categories=False)
    for name, clip in clips.items():
        dense = stems_from(0, 5 * len(clip.stems))
        frames = clip.frames.repeat(5, axis=0)
        write_frames(root / "valid_all_frames" / "JPEGImages" / name, Clip(tuple(dense), frames, clip.labels))


def make_vost(root: Path) -> None:
    """val: ids with void, an id that comes late and is no object, frames at 10 per second; test: first masks."""
    form = "frame{:05d}"
    clips = {
        "1083_cut_tomato": draw_moving_clip(stems_from(12, 8, 6, form), {1: 0, 3: 4}, seed=1),
        "2001_fold_cloth": draw_moving_clip(stems_from(6, 6, 6, form), seed=2),
    }
    for clip in clips.values():
        clip.labels[:, :3] = 255
    hidden = {"3001_tear_paper": draw_moving_clip(stems_from(0, 4, 6, form), seed=3)}
    write_split(root, clips)
    write_split(root, hidden, labels={name: clip.stems[:1] for name, clip in hidden.items()})
    for split, named in (("val", clips), ("test", hidden)):
        write_list(root / "ImageSets" / f"{split}.txt", named)
    for name, clip in clips.items():
        first = int(clip.stems[0].removeprefix("frame"))
        dense = stems_from(first, 2 * len(clip.stems) - 1, 3, form)
        frames = clip.frames.repeat(2, axis=0)[:-1]
        write_frames(root / "JPEGImages_10fps" / name, Clip(tuple(dense), frames, clip.labels))


def make_visor(root: Path) -> None:
    """val: one sequence of two frames and one with an object that comes late; the second is of an unseen kitchen."""
    clips = {
        f"{video}_seq_{number:05d}": draw_moving_clip(
            stems_from(140, count, 60, f"{video}_frame_{{:010d}}"), ids, seed=count
        )
        for video, number, count, ids in (("P01_107", 1, 2, {1: 0, 2: 0}), ("P07_110", 9, 4, {1: 0, 2: 2}))
    }
    write_davis(root, clips, "2022", "val")
    write_list(root / "ImageSets" / "2022" / "val_unseen.txt", ["P07_110_seq_00009"])


def make_mose(root: Path) -> None:
    """train with all labels and a video of one frame; valid with the first masks alone."""
    clips = {
        "0a0b0c0d": draw_moving_clip(stems_from(0, 5), seed=1),
        "1a1b1c1d": draw_moving_clip(stems_from(0, 4), seed=2),
    }
    clips["0a0b0c0d"].labels[2] = 0  # all objects hidden
    write_split(root / "train", {**clips, "330ac20d": draw_moving_clip(stems_from(0, 1), seed=3)})
    write_split(root / "valid", clips, labels={name: clip.stems[:1] for name, clip in clips.items()})


def make_mosev2(root: Path) -> None:
    """As MOSE, with the objects in train/meta.json; one of them disappears and reappears, one is small."""
    make_mose(root)
    videos = {"0a0b0c0d": {"objects": [1, 2]}, "1a1b1c1d": {"objects": ["1", "2"]}}
    (root / "train" / "meta.json").write_text(json.dumps({"videos": videos}))


def make_sav(root: Path) -> None:
    """val: every fourth frame labeled; one object lies on another, and one comes late."""
    for name, starts in (("sav_000001", (0, 0)), ("sav_000002", (0, 2))):
        clip = draw_moving_clip(stems_from(0, 17), {1: 0}, seed=3)
        write_frames(root / "sav_val" / "JPEGImages_24fps" / name, clip)
        for number, start in enumerate(starts):
            for index in range(0, 17, 4):
                mask = clip.labels[index] > 0
                if number == 1:  # the right half of the first
                    columns = np.flatnonzero(mask.any(axis=0))
                    mask[:, : (columns[0] + columns[-1]) // 2] = False
                mask &= index // 4 >= start
                path = root / "sav_val" / "Annotations_6fps" / name / f"{number:03d}" / f"{index:05d}.png"
                write_mask(path, mask.astype(np.uint8) * 255)
    write_list(root / "sav_val" / "sav_val.txt", ["sav_000001", "sav_000002"])


def make_lvos(root: Path) -> None:
    """valid with all labels, an object that comes late, and one unseen video; test with first masks alone."""
    form = "{:08d}"
    clips = {
        "7K7WVzGG": draw_moving_clip(stems_from(1, 8, 5, form), {1: 0, 2: 3}, seed=1),
        "d83wYdy0": draw_moving_clip(stems_from(1, 7, 5, form), {1: 2}, seed=2),
    }
    write_split(root / "valid", clips)
    write_lvos_meta(root / "valid", clips)
    write_list(root / "valid" / "unseen_videos.txt", ["d83wYdy0"])
    hidden = {"AbCd1234": draw_moving_clip(stems_from(1, 6, 5, form), {1: 0, 2: 2}, seed=3)}
    clip = hidden["AbCd1234"]
    clip.labels[2][clip.labels[2] == 1] = 0  # the second label holds the new object alone
    write_split(root / "test", hidden, labels={"AbCd1234": (clip.stems[0], clip.stems[2])})


def make_longvideo(root: Path) -> None:
    """Two videos of many frames and few labels; the first label is that of the second frame in one."""
    clips = {
        "blueboy": draw_moving_clip(stems_from(0, 12), {255: 0}, seed=1),
        "dressage": draw_moving_clip(stems_from(0, 10), {1: 0}, seed=2),
    }
    write_split(root, clips, labels={"blueboy": stems_from(0, 4, 3), "dressage": stems_from(1, 3, 4)})


def make_folder(root: Path) -> None:
    """Two sequences: ids with a gap, and one with an object that comes late."""
    clips = {
        "first": draw_moving_clip(stems_from(0, 5), {1: 0, 4: 0}, seed=1),
        "second": draw_moving_clip(stems_from(0, 6), {1: 0, 2: 2}, seed=2),
    }
    write_split(root, clips)


MAKERS = {
    "davis2016": make_davis2016, "davis2017": make_davis2017, "youtubevos2018": make_youtubevos,
    "youtubevos2019": make_youtubevos, "vost": make_vost, "visor": make_visor, "mose": make_mose,
    "mosev2": make_mosev2, "sav": make_sav, "lvosv1": make_lvos, "lvosv2": make_lvos,
    "longvideo": make_longvideo, "folder": make_folder,
}  # fmt: skip


def separate_labels(video: Video) -> dict[str, np.ndarray]:
    """Return the labels H×W by stem of a video with a folder of masks for each object; later objects are on top."""
    found: dict[str, np.ndarray] = {}
    for object_id, folder in sorted(video.object_folders.items()):
        for path in sorted(folder.glob("*.png")):
            mask = read_mask(path)
            labels = found.setdefault(path.stem, np.zeros(mask.shape, dtype=np.uint8))
            labels[mask > 0] = object_id
    return found


def write_perturbed(videos: Sequence[Video], results: Path, *, shift: int = 24) -> None:
    """Write results for every expected frame: its annotation or the one before, without objects that appear later.

    Masks are moved right by their height divided by ``shift``; 0 keeps their position.
    """
    for video in videos:
        truth = {path.stem: path for path in video.annotations}
        separate = separate_labels(video)
        known: set[int] = set()
        with Image.open(video.frames[0]) as image:
            labels = np.zeros((image.height, image.width), dtype=np.uint8)
        for index, path in enumerate(video.frames):
            if path.stem in separate:
                labels = separate[path.stem]
            if path.stem in truth:
                labels = extract_object_ids(read_mask(truth[path.stem]), merge_ids=video.merge_ids)
            if index in video.reference_masks:
                new = video.new_ids(index)
                known |= set(np.unique(labels).tolist()) if new is None else new
            if path.stem in video.written_stems:
                moved, distance = np.zeros_like(labels), labels.shape[0] // shift if shift else 0
                moved[:, distance:] = labels[:, : labels.shape[1] - distance]
                found = np.where(np.isin(moved, list(known)), moved, 0)
                write_mask(results / video.name / f"{path.stem}.png", found)
