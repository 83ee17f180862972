"""Writer of the files in this folder by other tools, for `packages/studio/tests/formats/test_written.py`.

python write_files.py datumaro label_studio labelme    with datumaro 1.13.12, label-studio-sdk 2.1.2, labelme 6.3.1
python write_files.py ultralytics                      with ultralytics 8.4.190
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SIZE = (24, 40)
LENGTH = 4
NAMES = {3: "person", 7: "ball"}
LABELS = '<View><Image name="image" value="$image"/>{0}<Label value="person"/><Label value="ball"/>{1}</View>'


def draw_labels(frame):
    """Draw two objects: 3 moves and has a hole, 7 appears on frame 2."""
    mask = np.zeros(SIZE, np.uint16)
    mask[3:15, 2 + frame : 16 + frame] = 3
    mask[7:10, 6 + frame : 9 + frame] = 0
    if frame >= 2:
        mask[18:22, 20:26] = 7
    return mask


def list_objects(frame):
    """Return ids, class names, masks H×W, and boxes (left, top, right, bottom)."""
    labels = draw_labels(frame)
    for object_id, name in NAMES.items():
        rows, columns = np.nonzero(labels == object_id)
        if rows.size:
            box = [int(side) for side in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]
            yield object_id, name, labels == object_id, box


def write_datumaro():
    from datumaro import Bbox, Dataset, DatasetItem, Image, Mask

    def make(kind):
        items = []
        for frame in range(LENGTH):
            annotations = []
            for object_id, name, mask, (left, top, right, bottom) in list_objects(frame):
                shared = {
                    "label": [*NAMES.values()].index(name) + 1, "id": object_id, "group": object_id,
                    "attributes": {"track_id": object_id},
                }  # fmt: skip
                shape = (
                    Mask(mask, **shared) if kind == "mask" else Bbox(left, top, right - left, bottom - top, **shared)
                )
                annotations.append(shape)
            media = Image.from_numpy(np.zeros((*SIZE, 3), np.uint8))
            items.append(DatasetItem(f"{frame:05d}", subset="default", annotations=annotations, media=media))
        return Dataset.from_iterable(items, categories=["background", *NAMES.values()])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, format_name in (("mask", "coco_instances"), ("mask", "cvat"), ("mask", "voc_segmentation"),
                                  ("mask", "mots_png"), ("box", "yolo"), ("mask", "datumaro")):  # fmt: skip
            make(kind).export(str(folder / format_name), format_name, save_media=False)
        shutil.copy(folder / "datumaro/annotations/default.json", HERE / "datumaro.json")
        shutil.copy(folder / "coco_instances/annotations/instances_default.json", HERE / "datumaro_coco.json")
        shutil.copy(folder / "cvat/default.xml", HERE / "datumaro_cvat.xml")
        for source, name in (("voc_segmentation", "voc"), ("mots_png/default/instances", "mots"), ("yolo", "yolo")):
            shutil.copytree(folder / source, HERE / f"datumaro_{name}", dirs_exist_ok=True)


def write_label_studio():
    from label_studio_sdk.converter import Converter, brush
    from label_studio_sdk.converter.converter import Format

    def make(kind, object_id, name, mask, box):
        if kind == "brushlabels":
            value = {"format": "rle", "rle": brush.mask2rle(np.uint8(255 * mask))}
        else:
            left, top, right, bottom = (100 * side / SIZE[1 - index % 2] for index, side in enumerate(box))
            value = {"points": [[left, top], [right, top], [right, bottom], [left, bottom]], "closed": True}
        return {
            "id": f"r{object_id}", "type": kind, "from_name": "tag", "to_name": "image", "image_rotation": 0,
            "original_width": SIZE[1], "original_height": SIZE[0], "value": {**value, kind: [name]},
        }  # fmt: skip

    for kind, tag in (("brushlabels", "BrushLabels"), ("polygonlabels", "PolygonLabels")):
        tasks = [
            {
                "id": frame + 1, "data": {"image": f"/data/upload/1/0a1b2c{frame:02d}-{frame:05d}.jpg"},
                "annotations": [{"id": frame, "completed_by": 1,
                                 "result": [make(kind, *found) for found in list_objects(frame)]}],
            }
            for frame in range(LENGTH)
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "tasks.json"
            path.write_text(json.dumps(tasks))
            config = LABELS.format(f'<{tag} name="tag" toName="image">', f"</{tag}>")
            converter = Converter(config, name, download_resources=False)
            for format_name in ["JSON"] if kind == "brushlabels" else ["COCO", "YOLO"]:
                converter.convert(str(path), f"{name}/{format_name}", Format[format_name], is_dir=False)
                target = HERE / f"label_studio_{format_name.lower()}"
                if format_name == "YOLO":
                    shutil.copytree(Path(name) / "YOLO", target, dirs_exist_ok=True)
                else:
                    shutil.copy(Path(name) / format_name / "result.json", target.with_suffix(".json"))


def write_labelme():
    from labelme import utils
    from labelme._label_file import write_label_file

    folder = HERE / "labelme"
    folder.mkdir(exist_ok=True)
    for frame in range(LENGTH):
        shapes = []
        for object_id, name, mask, (left, top, right, bottom) in list_objects(frame):
            part = utils.img_arr_to_b64(np.uint8(mask[top:bottom, left:right]))
            points = [[left, top], [right - 1, bottom - 1]]
            shapes.append({"label": name, "points": points, "group_id": object_id, "description": "",
                           "shape_type": "mask", "flags": {}, "mask": part})  # fmt: skip
        size = {"image_height": SIZE[0], "image_width": SIZE[1]}
        write_label_file(str(folder / f"{frame:05d}.json"), shapes=shapes, image_path=f"{frame:05d}.jpg", **size)


def write_ultralytics():
    import torch
    from ultralytics.engine.results import Results

    for kind in ("boxes", "tracks"):  # as save_txt=True, for tracks also save_conf=True, names frames
        for frame in range(LENGTH):
            found = [*list_objects(frame)]
            rows = [
                [*box, *[object_id] * (kind == "tracks"), 0.9 - 0.05 * frame, [*NAMES].index(object_id)]
                for object_id, _, _, box in found
            ]
            masks = np.array([mask for _, _, mask, _ in found], np.float32) if kind == "tracks" else None
            results = Results(
                np.zeros((*SIZE, 3), np.uint8), "clip.mp4", {0: "person", 1: "ball"},
                boxes=torch.tensor(rows, dtype=torch.float32), masks=None if masks is None else torch.tensor(masks),
            )  # fmt: skip
            path = HERE / f"ultralytics_{kind}" / "labels" / f"clip_{frame + 1}.txt"
            path.unlink(missing_ok=True)  # lines are appended
            results.save_txt(str(path), save_conf=kind == "tracks")


if __name__ == "__main__":
    for tool in sys.argv[1:]:
        globals()[f"write_{tool}"]()
