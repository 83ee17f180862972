"""VISOR's JSON of polygons, converted and read by the reader of the converted layout."""

import json

import numpy as np
import pytest
from PIL import Image

from aotlab.evaluation.benchmarks.visor import Frame, number_objects
from aotlab.media.masks import read_mask
from aotlab.tools.convert_visor import main
from aotlab.utils.errors import InputError
from aotlab_testing.miniatures import open_dataset


def box(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def entry(sequence, number, objects):
    """A frame as VISOR's files have it."""
    video = sequence.rsplit("_seq_", 1)[0]
    name = f"{video}_frame_{number:010d}.jpg"
    path = f"{video.split('_')[0]}/{video}/{sequence}/{name}"
    annotations = [{"name": text, "class_id": 11, "segments": segments} for text, segments in objects.items()]
    image = {"image_path": path, "name": name, "subsequence": sequence, "video": video}
    return {"image": image, "annotations": annotations, "type": "object_video_instances"}


class Source:
    """VISOR's files: JSON and frames of 1920×1080."""

    def __init__(self, folder):
        places = (folder / name for name in ("json", "images", "VISOR_2022"))
        self.annotations, self.images, self.output = places
        self.annotations.mkdir()

    def add(self, video, entries):
        content = {"info": {}, "video_annotations": entries}
        (self.annotations / f"{video}.json").write_text(json.dumps(content))
        for item in entries:
            path = self.images / video / item["image"]["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                Image.new("RGB", (1920, 1080), (10, 120, 60)).save(path)

    def convert(self, split="val", *options):
        places = [("--annotations", self.annotations), ("--images", self.images), ("--output", self.output)]
        return main([text for option, path in places for text in (option, str(path))] + ["--split", split, *options])


@pytest.fixture
def source(tmp_path):
    source = Source(tmp_path)
    # an outline with a hole, two polygons of one object, one object without any
    plate = [box(400, 200, 1200, 800), box(600, 400, 800, 600)]
    first = {"plate": plate, "left hand": [box(100, 100, 300, 300), box(1500, 100, 1600, 200)], "cup": [[]]}
    later = {"cup": [box(0, 0, 100, 100)], "plate": [box(400, 200, 1200, 800)]}
    source.add(
        "P01_107",
        [
            entry("P01_107_seq_00001", 200, later),  # not in time order
            entry("P01_107_seq_00001", 140, first),
            entry("P01_107_seq_00001", 260, {"cup": [box(0, 0, 100, 100)]}),
            entry("P01_107_seq_00002", 320, first),  # one frame alone
        ],
    )
    knife = {"knife": [box(500, 500, 900, 600)]}
    source.add("P07_110", [entry("P07_110_seq_00009", number, knife) for number in (5, 65)])
    return source


def test_data_set_is_read_with_the_objects_of_first_frames(source, capsys):
    assert source.convert() == 0
    assert "2 sequences, 4 masks" in capsys.readouterr().out
    first, second = open_dataset("visor", source.output)
    assert [path.stem[-3:] for path in first.frames] == ["140", "200", "260"]
    assert [path.stem[-3:] for path in first.annotations] == ["140", "200"]  # nothing of it on the last
    assert (first.seen_in_training, second.seen_in_training) == (True, False)
    masks = [read_mask(path) for path in first.annotations]
    assert [mask.shape for mask in masks] == [(480, 854)] * 2
    assert [sorted(np.unique(mask)) for mask in masks] == [[0, 1, 2], [0, 2]]  # left hand, plate; cup comes late
    assert masks[0][480 * 500 // 1080, 854 * 700 // 1920] == 0  # the hole
    assert masks[0][480 * 300 // 1080, 854 * 700 // 1920] == 2
    assert masks[0][480 * 150 // 1080, 854 * 1550 // 1920] == 1
    names = json.loads((source.output / "val_data_mapping.json").read_text())
    assert names["P01_107_seq_00001"] == {"1": "left hand", "2": "plate"}
    with Image.open(first.frames[0]) as image:
        assert image.size == (854, 480)


def test_train_split_keeps_all_objects(source):
    assert source.convert("train") == 0
    (video,) = open_dataset("visor", source.output, "train")
    ids = [sorted(np.unique(read_mask(path))) for path in video.annotations]
    assert ids == [[0, 2, 3], [0, 1, 3], [0, 1]]


def test_train_sequence_starts_at_its_first_mask(source):
    knife = {"knife": [box(500, 500, 900, 600)]}
    masks = [{}, knife, knife, {}, knife]
    source.add("P02_01", [entry("P02_01_seq_00001", number, item) for number, item in enumerate(masks)])
    assert source.convert("train") == 0
    video = open_dataset("visor", source.output, "train")[1]
    assert [path.stem[-1] for path in video.frames] == ["1", "2", "3", "4"]
    assert [path.stem[-1] for path in video.annotations] == ["1", "2", "4"]


def test_second_conversion_extends_the_lists(source):
    source.convert()
    for path in source.annotations.iterdir():
        path.unlink()
    source.add("P09_02", [entry("P09_02_seq_00001", n, {"cup": [box(0, 0, 900, 600)]}) for n in (1, 2)])
    assert source.convert() == 0
    names = ["P01_107_seq_00001", "P07_110_seq_00009", "P09_02_seq_00001"]
    assert [video.name for video in open_dataset("visor", source.output)] == names
    assert [video.name for video in open_dataset("visor", source.output, "val_unseen")] == names[1:]
    assert list(json.loads((source.output / "val_data_mapping.json").read_text())) == names


def test_second_conversion_replaces_a_sequence_if_forced(source, capsys):
    source.convert("train")
    cup = {"cup": [box(0, 0, 900, 600)]}
    source.add("P01_107", [entry("P01_107_seq_00001", number, cup) for number in (140, 200, 320)])
    assert source.convert("train") == 2
    assert "P01_107_seq_00001: already contains files" in capsys.readouterr().err
    assert [path.stem[-3:] for path in open_dataset("visor", source.output, "train")[0].frames] == ["140", "200", "260"]
    assert source.convert("train", "--force") == 0
    (video,) = open_dataset("visor", source.output, "train")
    assert [path.stem[-3:] for path in video.frames] == ["140", "200", "320"]


def test_failed_conversion_keeps_the_earlier_sequence(source, capsys):
    source.convert()
    before = [path.read_bytes() for path in sorted(source.output.glob("*/480p/*/*"))]
    sorted((source.images / "P01_107").glob("*"))[1].write_bytes(b"no image")
    assert source.convert("val", "--force") == 1
    assert "P01_107_frame_0000000200.jpg: not readable" in capsys.readouterr().err
    assert [path.read_bytes() for path in sorted(source.output.glob("*/480p/*/*"))] == before


def test_broken_files_are_reported_and_skipped(source, capsys):
    next((source.images / "P01_107").glob("*140.jpg")).unlink()
    (source.annotations / "P99_01.json").write_text('{"video_annotations": [{"image": 3}]}')
    assert source.convert() == 1
    errors = capsys.readouterr().err
    assert "P01_107_frame_0000000140.jpg: no such file" in errors
    assert "P99_01.json: not readable" in errors
    assert [video.name for video in open_dataset("visor", source.output)] == ["P07_110_seq_00009"]


BROKEN = [
    ({"subsequence": "../../evil"}, [1, 1], "is not a plain name"),
    ({"name": "/tmp/evil.jpg"}, [1, 1], "is not a plain name"),
    ({"video": ".."}, [1, 1], "is not a plain name"),
    *(({}, point, "P02_01.json: not readable") for point in ([1e12, 3], [None, 3], ["a", 3], [1])),
]


@pytest.mark.parametrize(("change", "point", "words"), BROKEN, ids=str)
def test_invalid_names_and_coordinates_rejected(source, change, point, words, capsys):
    item = entry("P02_01_seq_00001", 1, {"knife": [[[1, 1], point, [9, 9]]]})
    item["image"].update(change)
    (source.annotations / "P02_01.json").write_text(json.dumps({"video_annotations": [item]}))
    assert source.convert() == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("count", [0, 255, 300])
def test_image_with_no_or_255_objects_rejected(count):
    frame = Frame("P01_01", "a.jpg", tuple((f"object {index}", ([[0, 0]],)) for index in range(count)))
    with pytest.raises(InputError, match=rf"a\.jpg: {count} objects; expected 1 to 254 with an outline"):
        number_objects([frame], first_only=False)
