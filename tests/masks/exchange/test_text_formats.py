"""MOTS text, YOLO labels and SA-V's masklets as input."""

import json

import pytest

from aotlab.masks.exchange.reading import read_annotations
from aotlab.masks.exchange.regions import compress, runs_of
from aotlab.utils.errors import InputError
from tests.masks.exchange.drawn import SIZE, TARGET, labels


def masklets():
    """Masklets 0 and 4 on two annotated frames of a video of 5."""
    frames = [
        [{"size": list(SIZE), "counts": compress(runs_of(labels(frame) == number))} for number in (3, 7)]
        for frame in (0, 2)
    ]
    return {
        "video_id": "sav_000001", "video_height": 24, "video_width": 40, "video_frame_count": 5,
        "masklet_id": [0, 4], "masklet": frames,
    }  # fmt: skip


def test_masklets_are_objects_on_every_fourth_frame(tmp_path):
    path = tmp_path / "sav_000001_manual.json"
    path.write_text(json.dumps(masklets()))
    target = type(TARGET)("sav_000001", SIZE, 5, TARGET.stem)
    found = read_annotations(path, target)
    assert {frame: [one.object_id for one in regions] for frame, regions in found.frames.items()} == {
        0: [1],
        4: [1, 5],
    }
    assert (found.mask(4) == (labels(2) == 3) + 5 * (labels(2) == 7)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video_height": 25}, "40×25"),
        ({"masklet_id": [None, 1]}, "not readable"),
        ({"masklet": [3]}, "not readable"),
        ({"masklet": [[{"counts": "zz"}]]}, "run lengths"),
        ({"masklet": []}, "holds no object"),
    ],
)
def test_damaged_masklets_are_refused(tmp_path, change, words):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(masklets() | change))
    with pytest.raises(InputError, match=words):
        read_annotations(path, TARGET)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 1001 1 24", "six|expected lines"),
        ("0 1001 1 25 40 abc", "40×25"),
        ("0 1001 1 24 40 abc", "run lengths"),
        ("x 1001 1 24 40 abc", "not readable"),
        (f"-1 1001 1 24 40 {compress([960])}", "frame -1"),
        ("", "holds no object"),
    ],
)
def test_damaged_mots_text_is_refused(tmp_path, text, words):
    path = tmp_path / "mots.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_annotations(path, TARGET)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0.1", "a class"),
        ("0 0.1 0.1 2 2", "from 0 to 1"),
        ("0 a b", r"00000\.txt: not readable"),
        ("0 0 0 1 1", "three"),
    ],
)
def test_damaged_yolo_labels_are_refused(tmp_path, text, words):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "00000.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        read_annotations(tmp_path, TARGET)
