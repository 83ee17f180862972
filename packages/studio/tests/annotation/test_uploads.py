"""Uploads of masks and files of other tools: names, ids, classes, damage."""

import io
import json
import re
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from aotlab import InputError
from aotlab.configs.files import ROOT
from aotlab.sdk import encode_rle
from aotlab_studio.document import editing
from aotlab_studio.document.masks import encode_png
from aotlab_studio.document.timeline import mark_frame
from aotlab_studio.server import http
from aotlab_studio.session.actions import Export
from aotlab_studio.session.uploads import load_upload, read_upload
from aotlab_video import ObjectClasses, VideoInfo, format_coco
from aotlab_video.masks.coco import compress_rle
from studio.tests.annotation.clips import HEIGHT, LENGTH, WIDTH, annotate_labels, png, truth
from studio.tests.annotation.results import store_results
from studio.tests.annotation.sessions import draw, open_session, run_job


def zip_files(members, compression=zipfile.ZIP_DEFLATED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member, compression)  # without the time of day
    return content.getvalue()


BROKEN_LZMA = zip_files({"a.png": b"x" * 99}, zipfile.ZIP_LZMA).replace(b"\x80\0\0<", b"\x80\0\0\xc3")


def post(served, content, frame=0):
    return served.post(f"/masks/{frame}", content)


def test_archive_with_backslashes_is_read(document):
    archive = zip_files({f"clip\\{index:05d}.png": png(truth(index)) for index in (3, 5)})
    assert load_upload(document, 0, archive).frames == [3, 5]


def test_large_trees_in_an_archive_are_refused(document, monkeypatch):
    monkeypatch.setattr("aotlab_studio.session.uploads.MAX_TREE_BYTES", 1000)
    with pytest.raises(InputError, match="of XML or JSON; split the archive"):
        load_upload(document, 0, zip_files({"a.xml": b" " * 2000}))


def test_mask_is_uploaded_for_the_shown_frame(served):
    assert post(served, png(truth(2)), 2).json()["frames"] == [2]
    np.testing.assert_array_equal(served.session.document.snapshot.labels(2), truth(2))
    assert [post(served, b"x", frame).status_code for frame in ("99", "9" * 5000)] == [404, 404]


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", png(truth(0))[:60], png(np.ones((4, 4))), b"GIF89a" + b"\0" * 99, png(np.zeros((40, 60, 3))),
     png(np.zeros((40, 60))), b"{", b"[" * 5000, b'{"images": 1, "annotations": []}', b"<", b"<annotations/>",
     b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;</annotations>', b"PK\3\4broken",
     zip_files({}), zip_files({"": b"x"}), zip_files({"note.md": b"x"}), BROKEN_LZMA,
     zip_files({"1/00000.png": b"x", "2/00000.png": b"x"})],
)  # fmt: skip
def test_broken_upload_rejected_without_a_path(served, content):
    answer = post(served, content)
    assert answer.status_code == 422
    assert answer.text.startswith("mask")
    assert "\n" not in answer.text
    assert "/tmp" not in answer.text
    assert "root:" not in answer.text
    assert not served.session.document.snapshot.labels(0).any()


def test_names_in_an_archive_stay_inside(served, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    names = ["../../escaped.png", f"{tmp_path}/escaped.png", "..\\escaped.png", "a/../../escaped/00001.png"]
    for name in names:
        post(served, zip_files({name: png(truth(0)), f"x{name}": png(truth(0))}))
    assert [path.name for path in tmp_path.rglob("*") if "escaped" in path.name] == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_too_large_uploads_rejected(served, monkeypatch):
    monkeypatch.setattr("aotlab_studio.session.uploads.MAX_UNPACKED_BYTES", 1000)
    answer = post(served, zip_files({"00000.png": b"\0" * 2000}))
    assert (answer.status_code, "split the archive" in answer.text) == (422, True)
    monkeypatch.setattr(http, "MAX_UPLOAD_BYTES", 1000)
    assert post(served, b"x" * 2000).status_code == 413


def coco(*frames):
    fish = annotate_labels({index: truth(index) for index in frames}, {1: "fish", 2: "fish"})
    return json.dumps(format_coco(fish, VideoInfo("clip", fish.size, LENGTH))).encode()


def mots(*frames):
    line = f"{{}} {{}} 1 {HEIGHT} {WIDTH} {{}}"
    return "\n".join(
        line.format(index, 1000 + number, compress_rle(encode_rle(truth(index) == number)))
        for index in frames
        for number in (1, 2)
    ).encode()


def labelme(index):
    rows, columns = np.nonzero(truth(index) == 1)
    box = [[float(columns.min()), float(rows.min())], [float(columns.max()), float(rows.max())]]
    corners = [box[0], [box[1][0], box[0][1]], box[1], [box[0][0], box[1][1]]]
    shape = {"label": "box", "points": corners, "shape_type": "polygon", "group_id": None}
    tree = {"version": "5", "flags": {}, "shapes": [shape], "imagePath": f"{index:05d}.png"}
    return json.dumps({**tree, "imageHeight": HEIGHT, "imageWidth": WIDTH}).encode()


COLORED = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]])


LABEL_MAP = b"car:255,0,0::\ndog:0,0,255::\n"


UPLOADS = {
    "coco": coco(3, 5),
    "mots": mots(3, 5),
    "archived coco": zip_files({"annotations/instances.json": coco(3, 5), "images/3.png": b"x"}),
    "frames": zip_files({f"clip/{index:05d}.png": png(truth(index)) for index in (3, 5)}),
    "object_ids": zip_files(
        {f"clip/{number}/{index:05d}.png": png(255 * (truth(index) == number)) for index in (3, 5) for number in (1, 2)}
    ),
    "colors": zip_files(
        {f"{index:05d}.png": png(COLORED[truth(index)]) for index in (3, 5)} | {"labelmap.txt": LABEL_MAP}
    ),
}


@pytest.mark.parametrize("names", [
    ["masks", "overlay"],
    ["coco", "cvat", "review"],
    ["objects"],
    ["label_studio"],
    ["mots"],
    ["yolo"],
    ["cvat"],
])  # fmt: skip
def test_archive_of_the_page_is_loaded(session, document, folder, tmp_path, names):
    draw(session, 0, 1, 2)
    draw(session, 5, 1)
    editing.ChangeObject(2, class_name="dish").run(document)  # YOLO tells objects apart by class only
    Export(names, options=["polygons"]).run(session)
    with closing(open_session(folder, project=tmp_path / "other.aotlab")) as other:
        assert load_upload(other.document, 0, session.archive.read_bytes()).frames == [0, 5]
        for index in (0, 5):
            differ = other.document.snapshot.labels(index) != document.snapshot.labels(index)
            assert differ.mean() <= (0.01 if names[0] in ("yolo", "cvat") else 0)
        classes = {item.class_name for item in other.document.snapshot.objects.values()}
        assert "dish" in classes or names[0] in ("masks", "objects")


def test_archive_with_coco_keeps_marks_of_absence(session, document, folder, tmp_path):
    draw(session, 0, 1, 2)
    draw(session, 5, 1)
    editing.MarkAbsent(5, 2).run(document)
    Export(["masks", "coco"]).run(session)
    with closing(open_session(folder, project=tmp_path / "other.aotlab")) as other:
        load_upload(other.document, 0, session.archive.read_bytes())
        assert other.document.timeline().marks == document.timeline().marks
        assert "g" in other.document.timeline().marks[2]


@pytest.mark.parametrize("names", [["mots"], ["label_studio"]])
def test_archive_of_a_file_with_its_classes_is_loaded(session, names):
    draw(session, 0, 1, 2)
    Export(names).run(session)
    folder = session.archive.parent
    files = {path.name: path.read_bytes() for path in folder.glob(f"{names[0]}*")}
    assert len(files) == 2
    assert load_upload(session.document, 0, zip_files(files)).frames == [0]


@pytest.mark.parametrize(("with_record", "class_name"), [(True, "fish"), (False, "")])
@pytest.mark.parametrize("prefix", ["clip/", ""])
def test_archive_of_results_is_loaded(document, tmp_path, with_record, class_name, prefix):
    store_results(tmp_path / "out", Path("clip"), {0: truth(0)}, classes=ObjectClasses({1: "fish"}))
    files = {"review.json": b"{}", "scores.json": b"{}"}
    for name in ("masks/00000.png", *(("results.json", "frames.jsonl") if with_record else ())):
        files[name] = (tmp_path / "out" / name).read_bytes()
    archive = zip_files({f"{prefix}{name}": content for name, content in files.items()})
    assert load_upload(document, 0, archive).frames == [0]
    assert document.snapshot.objects[1].class_name == class_name


@pytest.mark.parametrize("name", ["results.json", "export.json"])
def test_masks_named_like_a_record_are_loaded(session, name):
    draw(session, 0, 1)
    Export(["coco"]).run(session)
    content = (session.archive.parent / "coco.json").read_bytes()
    assert load_upload(session.document, 0, zip_files({name: content})).frames == [0]


def test_archive_of_yolo_labels_with_one_image_is_loaded(document):
    square = b"0 0.2 0.2 0.5 0.2 0.5 0.6 0.2 0.6\n"
    files = {"labels/00003.txt": square, "images/00003.png": png(truth(3)), "data.yaml": b"names: [dish]"}
    assert load_upload(document, 0, zip_files(files)).frames == [3]
    assert [item.class_name for item in document.snapshot.objects.values()] == ["dish"]


@pytest.mark.parametrize("names", [["3"], ["3", "5"]])
def test_archive_of_yolo_labels_is_loaded(document, names):
    square = "0 0.2 0.2 0.5 0.2 0.5 0.6 0.2 0.6\n"
    files = {f"set/labels/{int(name):05d}.txt": square.encode() for name in names}
    archive = zip_files({**files, "set/images/00003.jpg": b"x"})
    assert load_upload(document, 0, archive).frames == [int(name) for name in names]
    assert document.snapshot.labels(3)[HEIGHT // 2, WIDTH // 3] == 1


def test_upload_that_matches_no_frame_rejected(session):
    archive = zip_files({f"mask_{index}.png": png(truth(index)) for index in (3, 5)})
    with pytest.raises(InputError, match=r"are not frames of clip: 'mask_3\.png', 'mask_5\.png'"):
        load_upload(session.document, 0, archive)


def test_class_id_too_large_to_store_rejected(session, document, folder, reopen):
    tree = json.loads(coco(3))
    tree["categories"][0]["id"] = 2**31 + 1
    for region in tree["annotations"]:
        region["category_id"] = tree["categories"][0]["id"]
    with pytest.raises(InputError, match="class fish: id 2147483649 is not between 0 and"):
        load_upload(document, 0, json.dumps(tree).encode())
    assert document.snapshot.drawn_frames == []
    session.close()
    reopen(folder)


def test_loaded_value_that_is_no_json_is_dropped(document):
    tree = json.loads(coco(3))
    tree["annotations"][0]["attributes"]["age"] = float("nan")
    load_upload(document, 0, json.dumps(tree).encode())
    assert "age" not in str(document.snapshot.describe_objects())


@pytest.mark.parametrize("kind", UPLOADS)
def test_upload_of_several_frames_is_one_step(document, kind):
    assert load_upload(document, 0, UPLOADS[kind]).frames == [3, 5]
    for index in (3, 5):
        np.testing.assert_array_equal(document.snapshot.labels(index), truth(index))
    assert document.snapshot.drawn_frames == [3, 5]
    document.undo()
    assert document.snapshot.drawn_frames == []
    assert [*document.snapshot.objects] == []


def test_upload_counts_the_drawn_pixels_that_it_replaces(session, document):
    draw(session, 0, 1, 2)
    labels = truth(0).copy()
    labels[labels == 1] = 0
    labels[0, 0] = 1
    assert load_upload(document, 0, png(labels)).replaced_pixels == {1: int((truth(0) == 1).sum())}
    assert load_upload(document, 0, png(labels)).replaced_pixels == {}


def test_single_image_is_for_the_shown_frame(document):
    assert load_upload(document, 7, png(truth(7))).frames == [7]
    colored = zip_files({"mask.png": png(COLORED[truth(8)]), "labelmap.txt": LABEL_MAP})
    assert load_upload(document, 8, colored).frames == [8]
    np.testing.assert_array_equal(document.snapshot.labels(8), truth(8))


def test_upload_without_a_first_number_names_the_command():
    numbered = zip_files({f"{index:05d}.png": png(truth(index)) for index in (1, 3)})
    with pytest.raises(InputError, match=r"--mask-start-number 0, with aotlab convert, and load the file"):
        read_upload(numbered, VideoInfo("clip", (HEIGHT, WIDTH), LENGTH), 0)


def test_binary_mask_goes_to_the_chosen_object(session, document):
    draw(session, 0, 1, 2)
    binary = png(255 * (truth(3) == 1))
    load_upload(document, 3, binary, chosen=2)
    np.testing.assert_array_equal(document.snapshot.labels(3) == 2, truth(3) == 1)
    load_upload(document, 4, binary)
    assert [*document.snapshot.objects] == [1, 2, 3]


def test_upload_of_other_names_is_matched_by_id_then_name(session, document):
    draw(session, 0, 1, 2)
    editing.ChangeObject(2, name="fish").run(document)
    load_upload(document, 0, UPLOADS["colors"])  # car and dog, with the ids 1 and 2
    names = [(item.id, item.name, item.class_name) for item in document.snapshot.objects.values()]
    assert names == [(1, "object 1", "car"), (2, "fish", ""), (3, "dog", "dog")]
    content = zip_files({"fish/00003.png": png(truth(3) == 2), "tree/00003.png": png(truth(3) == 1)})
    load_upload(document, 0, content, chosen=2)
    assert [item.name for item in document.snapshot.objects.values()] == ["object 1", "fish", "dog", "tree"]
    double = zip_files({f"{index}.json": name_shape(index, "fish") for index in (4, 5)})
    editing.ChangeObject(3, name="fish").run(document)
    load_upload(document, 0, double)  # two objects have this name
    assert max(document.snapshot.objects) == 5


def test_upload_names_new_objects(document):
    load_upload(document, 0, UPLOADS["colors"])
    assert [item.name for item in document.snapshot.objects.values()] == ["car", "dog"]


def test_folder_names_become_object_names(document):
    content = zip_files({"dog/00003.png": png(truth(3) == 2), "cat/00003.png": png(truth(3) == 1)})
    load_upload(document, 0, content)
    assert [item.name for item in document.snapshot.objects.values()] == ["cat", "dog"]
    np.testing.assert_array_equal(document.snapshot.labels(3), truth(3))


def test_labelme_files_are_matched_by_image_name(document):
    assert load_upload(document, 0, labelme(4)).frames == [4]
    assert load_upload(document, 0, zip_files({"b.json": labelme(6), "a.json": labelme(5)})).frames == [5, 6]
    assert [item.name for item in document.snapshot.objects.values()] == ["box"]


def test_upload_for_missing_frames_rejected_whole(document):
    content = zip_files({f"{index:05d}.png": png(truth(3)) for index in (3, 99)})
    with pytest.raises(InputError, match="99"):
        load_upload(document, 0, content)
    assert document.snapshot.drawn_frames == []


def name_shape(index, label):
    tree = json.loads(labelme(index))
    tree["shapes"][0]["label"] = label
    return json.dumps(tree).encode()


def test_id_255_beside_another_is_kept(document):
    load_upload(document, 0, encode_png(np.array([0, 255, 300])[truth(0)]))
    assert sorted(document.snapshot.objects) == [255, 300]


def test_assigned_ids_do_not_bind_to_objects(session):
    document = session.document
    draw(session, 0, 1, 2)
    for object_id, name in ((1, "cat"), (2, "bird")):
        editing.ChangeObject(object_id, name=name).run(document)
    for index, name in ((3, "dog"), (4, "bird"), (5, "cat")):
        load_upload(document, 0, name_shape(index, name))
    assert [item.name for item in document.snapshot.objects.values()] == ["cat", "bird", "dog"]
    assert [np.unique(document.snapshot.labels(index)).tolist() for index in (3, 4, 5)] == [[0, 3], [0, 2], [0, 1]]


def test_upload_that_arrives_twice_is_loaded_once(served):
    draw(served.session, 3, 1, 2)
    content = png(truth(4))
    answers = [served.post(f"/masks/3?id={2**40}", content).json() for _ in range(2)]
    step = len(served.session.document.log.steps)
    loaded = {
        "frames": [3], "lost_pixels": {}, "unchanged": [], "replaced_pixels": {"1": 100}, "step": step
    }  # fmt: skip
    assert answers[0] == answers[1] == loaded
    for unusable in ("x", "1"):
        assert served.post(f"/masks/3?id={unusable}", content).status_code == 422
    assert served.post(f"/masks/3?id={2**40 + 1}", png(truth(3))).json()["step"] == step + 1


def test_upload_keeps_class_and_attributes_of_locked_objects(session, document):
    draw(session, 0, 1, 2)
    editing.ChangeObject(1, locked=True).run(document)
    tree = json.loads(coco(3))
    for annotation in tree["annotations"]:
        annotation["attributes"]["blurred"] = True
    before = document.snapshot.find_object(1)
    loaded = load_upload(document, 0, json.dumps(tree).encode())
    assert loaded.unchanged == [1]
    assert document.snapshot.find_object(1) == before
    assert document.snapshot.find_object(2).class_name == "fish"
    assert document.snapshot.state.attributes == {2: {0: {"blurred": True}}}


def test_loaded_class_gets_an_id_of_its_own(session, document):
    draw(session, 0, 1)
    editing.ChangeObject(1, class_name="dog").run(document)
    load_upload(document, 3, UPLOADS["coco"])
    assert document.snapshot.state.classes == {"dog": 1, "fish": 2}
    Export(["coco", "yolo"]).run(session)
    folder = session.archive.parent
    content = json.loads((folder / "coco.json").read_text())
    assert {each["name"]: each["id"] for each in content["categories"]} == {"dog": 1, "fish": 2}
    assert (folder / "yolo" / "data.yaml").read_text().count("dog") == 1


def test_upload_covered_by_a_locked_object_is_not_absent(session):
    draw(session, 0, 1, 2)
    document = session.document
    run_job(session, 0)
    editing.ChangeObject(1, locked=True).run(document)
    load_upload(document, 3, png(2 * (truth(3) == 1)))
    assert document.snapshot.drawn_masks(3) == {}
    np.testing.assert_array_equal(document.snapshot.labels(3), truth(3))


def test_object_covered_by_another_of_the_file_is_absent(session):
    draw(session, 3, 1, 2)
    document, tree = session.document, json.loads(coco(3))
    for annotation in tree["annotations"]:
        annotation["segmentation"] = tree["annotations"][1]["segmentation"]
    loaded = load_upload(document, 0, json.dumps(tree).encode())
    assert loaded.unchanged == []
    assert np.unique(document.snapshot.labels(3)).tolist() == [0, 2]
    assert mark_frame(document.snapshot, 3) == {1: "g", 2: "G"}


def load_attributes(document, values):
    """Load a file in which object 1 has an attribute value on each of its frames, and object 2 has none."""
    tree = json.loads(coco(*values))
    for annotation in tree["annotations"]:
        if annotation["track_id"] == 1:
            annotation["attributes"] |= values[annotation["image_id"] - 1]
    load_upload(document, 0, json.dumps(tree).encode())


def test_constant_attributes_hold_on_all_frames(session):
    document = session.document
    load_attributes(document, {3: {"color": "red", "cut": True, "pose": "up"}, 5: {"color": "red", "cut": True}})
    constants = {"color": "red", "cut": True}
    attributes = {0: constants, 3: {**constants, "pose": "up"}, 5: constants}
    assert document.snapshot.state.attributes == {1: attributes}
    assert document.snapshot.describe_objects()[1][1][3] == {"color": "red", "cut": True, "pose": "up"}


def test_attributes_loaded_again_replace_those_before(document):
    for pose in ("left", "right"):
        load_attributes(document, {3: {"pose": pose}, 5: {"pose": pose}})
        assert document.snapshot.state.attributes == {1: {0: {"pose": pose}}}


def test_attributes_hold_until_they_change(document):
    up, down = {"color": "red", "pose": "up"}, {"color": "red", "pose": "down"}
    load_attributes(document, {3: up, 4: up, 5: down})
    annotations = annotate_labels({index: truth(0) == 1 for index in (3, 4, 5)}, {})
    annotations.add_attributes(document.snapshot.describe_objects()[1])
    assert [annotations.frames[index][0].attributes for index in (3, 4, 5)] == [up, up, down]


@pytest.mark.parametrize("name", ["c" * 61, "traffic\tlight", " cat\ud800 "])
def test_loaded_class_name_is_made_valid_with_its_id(document, name):
    tree = json.loads(coco(3))
    tree["categories"][0] |= {"name": name, "id": 7}
    for annotation in tree["annotations"]:
        annotation["category_id"] = 7
    load_upload(document, 0, json.dumps(tree).encode())
    snapshot = document.snapshot
    assert snapshot.state.classes == {snapshot.objects[1].class_name: 7}
    assert snapshot.objects[1].class_name == re.sub("[\t\ud800]", "", name).strip()[:60]


def test_upload_does_not_overwrite_a_locked_object(session, document):
    draw(session, 0, 1, 2)
    editing.ChangeObject(1, locked=True).run(document)
    loaded = load_upload(document, 0, png(np.where(truth(0) > 0, 2, 0)))
    assert (loaded.lost_pixels, loaded.unchanged) == ({}, [1])
    np.testing.assert_array_equal(document.snapshot.labels(0), truth(0))


def test_documented_program_loads_a_mask_and_names_its_class(served, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    (program,) = re.findall(r"```python\n(import json.*?)```", page, re.DOTALL)
    (tmp_path / "first.png").write_bytes(png(np.where(truth(0) == 1, 1, 0)))
    monkeypatch.chdir(tmp_path)
    names = {"url": served.url}
    exec(program, names)
    assert "error" not in names["answer"]
    now = served.session.document.snapshot
    np.testing.assert_array_equal(now.labels(0), truth(0) == 1)
    assert now.objects[1].class_name == "cat"
