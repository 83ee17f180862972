"""A batch with masks from CVAT or COCO, corrected and exported, read by us and by the other tools' own readers."""

import numpy as np
import pytest

from aotlab import write_mask
from aotlab.sdk import encode_rle
from aotlab_studio.document import editing
from aotlab_studio.session.actions import Export
from aotlab_video import Annotations, ObjectClasses, Region, VideoInfo, find_mask_writer, read_annotations
from studio.tests.annotation.clips import HEIGHT, LENGTH, WIDTH, truth
from studio.tests.annotation.results import change_record, write_results
from studio.tests.annotation.sessions import list_labels

CLASS_NAMES = {3: "person", 7: "ball"}
"""Class names by object id."""
LATER = 6
"""Second drawn frame."""


def attributes(object_id, frame):
    """The attributes of an object: a pose that changes, and a constant one."""
    return {"pose": "jumping" if frame >= LATER else "standing"} if object_id == 3 else {"inflated": True}


def number(index):
    """The true labels of a frame, with the ids of `CLASS_NAMES`."""
    return np.array([0, *CLASS_NAMES], np.uint16)[truth(index)]


@pytest.fixture(params=["cvat", "coco"])
def corrected_clip(request, tmp_path, make_batch):
    """A clip of a batch that started with a file of another tool, corrected on frame 4: exports and labels."""
    folder = write_results(tmp_path, ["a", "b"])
    for index in range(LENGTH):
        write_mask(folder / "a" / "masks" / f"{index:05d}.png", number(index))
    regions = {
        index: [
            Region(each, encode_rle(number(index) == each), attributes=attributes(each, index)) for each in CLASS_NAMES
        ]
        for index in (0, LATER)
    }
    drawn = Annotations((HEIGHT, WIDTH), regions, dict(CLASS_NAMES), {index: f"{index:05d}" for index in regions})
    file = tmp_path / find_mask_writer(request.param).file_name
    find_mask_writer(request.param).write(file, drawn, VideoInfo("a", drawn.size, LENGTH))
    change_record(folder / "a", masks=[str(file)], classes=ObjectClasses(CLASS_NAMES))
    batch = make_batch(folder)
    with batch.use("a"):
        pass  # what the input states is stored
    with batch.use("a") as session:
        editing.Paint(4, 7, [(30, 30), (38, 30)], radius=3).run(session.document)
        Export(["cvat", "coco"], force=True).run(session)
        labels = list_labels(session.document)
    assert not (labels[4] == number(4)).all()
    return session.archive.parent, labels


@pytest.mark.parametrize("name", ["coco.json", "cvat.xml"])
def test_corrected_clip_is_read_again(corrected_clip, name):
    folder, labels = corrected_clip
    found = read_annotations(folder / name, VideoInfo("a", (HEIGHT, WIDTH), LENGTH))
    assert found.class_names == CLASS_NAMES
    for index in range(LENGTH):
        np.testing.assert_array_equal(found.mask(index), labels[index])
        for region in found.frames[index]:  # CVAT has text
            stated = {key: value in (True, "true") or value for key, value in region.attributes.items()}
            assert stated == attributes(region.object_id, index)


@pytest.mark.slow
def test_datumaro_reads_attributes_of_a_corrected_clip(corrected_clip, tmp_path):
    datumaro = pytest.importorskip("datumaro", reason="needs datumaro")
    folder, _ = corrected_clip
    video = VideoInfo("a", (HEIGHT, WIDTH), LENGTH)
    find_mask_writer("cvat").write(
        tmp_path / "cvat.xml", read_annotations(folder / "cvat.xml", video), video, polygons=True
    )
    seen = set()
    for item in datumaro.Dataset.import_from(str(tmp_path / "cvat.xml"), "cvat"):
        frame = int(item.attributes["frame"])
        for shape in item.annotations:
            if shape.attributes["outside"]:
                continue
            expected = attributes(shape.group, frame)
            assert {name: shape.attributes[name] for name in expected} == expected
            seen.add((frame, shape.group))
    assert seen == {(frame, object_id) for frame in range(LENGTH) for object_id in CLASS_NAMES}
