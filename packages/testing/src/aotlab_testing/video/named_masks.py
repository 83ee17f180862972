"""Masks in files with random names, and a check that each is read for the frame of its name."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aotlab import InputError
from aotlab.sdk import encode_rle
from aotlab_testing.drawn_clips import draw_box
from aotlab_video import Annotations, Region, VideoInfo, find_mask_writer, open_frames, read_annotations

SIZE = (12, 16)
PARTS = st.sampled_from(["a", "A", "é", "1", "2", "0", ".", "_", "-", " ", ".jpg", ".png", "#", "?"])
STEMS = st.lists(PARTS, max_size=4).map(lambda parts: "".join(["n", *parts]))
given_names = given(
    frames=st.lists(STEMS, min_size=1, max_size=6, unique=True), others=st.lists(STEMS, max_size=3), drawn=st.data()
)


def draw_mark(index):
    """Draw the labels of a frame: object 1 at a position that no other frame has."""
    top, left = 2 + index // 4 * 3, index % 4 * 4
    return draw_box(SIZE, (top, top + 2), (left, left + 3))


def make_frames(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", SIZE[::-1]).save(folder / name)
    return VideoInfo.from_source(open_frames(folder))


def write_files(write, name):
    """Return a function that writes each mask to a file named by its stem."""

    def write_all(path, masks):
        for stem, mask in masks.items():
            (path / name.format(stem=stem)).parent.mkdir(parents=True, exist_ok=True)
            write(path / name.format(stem=stem), stem, mask)
        return path

    return write_all


def write_format(name, *change):
    """Return a function that writes masks in a format of the project, and may replace a part of the text."""

    def write(path, masks):
        frames = {place: [Region(1, encode_rle(mask > 0))] for place, mask in enumerate(masks.values())}
        annotations = Annotations(SIZE, frames, {1: "a"}, dict(enumerate(masks)))
        writer = find_mask_writer(name)
        path = path / writer.file_name
        path.parent.mkdir(parents=True)
        writer.write(path, annotations, VideoInfo("clip", SIZE, len(masks)))
        if change:
            path.write_text(path.read_text().replace(*change))
        return path

    return write


def check_masks_by_name(root: Path, write, frames, others, drawn) -> None:
    """Check that masks of some frames and of other names are read for the frames of their names, or rejected."""
    video = make_frames(root / "clip", [f"{stem}.png" for stem in frames])
    stems = video.frame_names
    named = drawn.draw(st.lists(st.sampled_from([*frames, *others]), min_size=1, max_size=8, unique=True))
    masks = {stem: draw_mark(place) for place, stem in enumerate(named)}
    path = write(root / "given", masks)
    try:
        found = read_annotations(path, video)
    except InputError:
        assert not set(named) <= set(stems)
        return
    shown = {stems[index]: found.mask(index) > 0 for index, regions in found.frames.items() if regions}
    assert shown.keys() == masks.keys()
    for stem, mask in shown.items():  # polygons may cover more
        assert mask[masks[stem] > 0].all()
        assert not any(mask[other > 0].all() for each, other in masks.items() if each != stem)
