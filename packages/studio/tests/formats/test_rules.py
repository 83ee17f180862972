"""Rules of reading files in every format: a cell of the table is a file, or the reason why the rule does not apply."""

import json
import re
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError
from aotlab.media.masks import PALETTE
from aotlab.sdk import encode_rle
from aotlab_testing.video.sample import SIZE, VIDEO
from aotlab_video import Annotations, Region, find_mask_writer, read_annotations, require_ids
from aotlab_video.masks.coco import compress_rle
from studio.tests.formats.examples import labelme, png, shape

HEIGHT, WIDTH = SIZE
UNNAMED = replace(VIDEO, frame_names=None)
TOP, BOTTOM = 4, 14
LABELS = ("a", "b", "__ignore__", "_background_")
COLORS = {"a": (200, 0, 0), "b": (0, 200, 0), "__ignore__": (9, 9, 9), "_background_": (0, 0, 1)}
IDS = {"a": 1, "b": 2, "__ignore__": 255}
BAD_POINTS = [[1, 1], [9, 1], [10**9, 9]]


@dataclass(frozen=True)
class Part:
    """A rectangle of ten rows on one image."""

    frame: int
    label: str = "a"
    left: int = 4
    width: int = 10

    @property
    def points(self):
        right = self.left + self.width
        return [[self.left, TOP], [right, TOP], [right, BOTTOM], [self.left, BOTTOM]]

    @property
    def mask(self):
        mask = np.zeros(SIZE, bool)
        mask[TOP:BOTTOM, self.left : self.left + self.width] = True
        return mask

    @property
    def rle(self):
        return {"size": [*SIZE], "counts": encode_rle(self.mask).tolist()}


def name_image(frame):
    return f"{frame:05d}"


def group(parts):
    return {frame: [part for part in parts if part.frame == frame] for frame in sorted({part.frame for part in parts})}


def paint(parts, values):
    image = np.zeros((*SIZE, *np.shape(values["a"])), np.uint8)
    for part in parts:
        image[part.mask] = values[part.label]
    return image


def make_masks(parts, name=name_image):
    return {f"{name(frame)}.png": paint(found, IDS) for frame, found in group(parts).items()}


def make_colors(parts, name=name_image):
    label_map = "".join(f"{label}:{','.join(map(str, color))}::\n" for label, color in COLORS.items())
    images = {f"{name(frame)}.png": paint(found, COLORS) for frame, found in group(parts).items()}
    return images | {"labelmap.txt": label_map}


def make_objects(parts, name=name_image):
    return {f"{part.label}/{name(part.frame)}.png": np.uint8(255 * part.mask) for part in parts}


def make_coco(parts, name=name_image, **more):
    images = [
        {"id": frame, "file_name": f"{name(frame)}.jpg", "height": HEIGHT, "width": WIDTH} for frame in group(parts)
    ]
    annotations = [
        {"id": count, "image_id": part.frame, "category_id": LABELS.index(part.label) + 1,
         "segmentation": [np.ravel(part.points).tolist()]} for count, part in enumerate(parts, start=1)
    ]  # fmt: skip
    categories = [{"id": count, "name": label} for count, label in enumerate(LABELS, start=1)]
    return {"coco.json": {"images": images, "annotations": annotations, "categories": categories, **more}}


def make_youtube_vis(parts, name=name_image):
    frames = [*group(parts)]
    names = [f"{name(frame)}.jpg" for frame in frames]
    labels = [*dict.fromkeys(part.label for part in parts)]
    found = {(part.label, part.frame): part.rle for part in parts}
    return {"youtube_vis.json": {
        "videos": [{"id": 5, "height": HEIGHT, "width": WIDTH, "file_names": names}],
        "categories": [{"id": count, "name": label} for count, label in enumerate(LABELS, start=1)],
        "annotations": [
            {"id": count, "video_id": 5, "category_id": LABELS.index(label) + 1,
             "segmentations": [found.get((label, frame)) for frame in frames]}
            for count, label in enumerate(labels, start=1)
        ],
    }}  # fmt: skip


def cvat_shape(part, extra=""):
    points = ";".join(f"{x},{y}" for x, y in part.points)
    return f'<polygon label="{part.label}" points="{points}" {extra}/>'


def cvat_image(frame, *shapes, name=name_image):
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    return f'<image id="{frame}" name="{name(frame)}.jpg" {size}>{"".join(shapes)}</image>'


def make_cvat(parts, name=name_image, more=""):
    images = (cvat_image(frame, *map(cvat_shape, found), name=name) for frame, found in group(parts).items())
    return {"cvat.xml": f"<annotations>{''.join(images)}{more}</annotations>"}


def label_studio_region(part, name=None, kind="polygonlabels", **more):
    value = {"points": [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in part.points], kind: [part.label]}
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    return {"id": name or f"{part.frame}{part.label}", "type": kind, "value": {**value, **more}, **size}


def task(frame, *results, name=name_image):
    return {"data": {"image": f"/data/upload/3/{name(frame)}.jpg"}, "annotations": [{"result": [*results]}]}


def make_label_studio(parts, name=name_image):
    return {"tasks.json": [
        task(frame, *map(label_studio_region, found), name=name) for frame, found in group(parts).items()
    ]}  # fmt: skip


def make_labelme(parts, name=name_image, *extra):
    return {
        f"{name(frame)}.json": labelme(frame, *(shape(part.label, part.points) for part in found), *extra)
        | {"imagePath": f"../images/{name(frame)}.jpg"}
        for frame, found in group(parts).items()
    }


def via_region(part, shape=None, **attributes):
    points = {
        f"all_points_{axis}": [*values] for axis, values in zip("xy", zip(*part.points, strict=True), strict=True)
    }
    shape = shape or {"name": "polygon", **points}
    return {"shape_attributes": shape, "region_attributes": {"class": part.label, **attributes}}


def make_via(parts, name=name_image, *extra):
    return {"via.json": {
        f"{name(frame)}.jpg81": {
            "filename": f"{name(frame)}.jpg", "size": 81, "regions": [*map(via_region, found), *extra],
            "file_attributes": {},
        }
        for frame, found in group(parts).items()
    }}  # fmt: skip


def datumaro_annotation(part, **more):
    shape = {"type": "polygon", "points": np.ravel(part.points).tolist()}
    return {"id": 0, "attributes": {}, "group": 0, "label_id": LABELS.index(part.label), "z_order": 0, **shape, **more}


def make_datumaro(parts, name=name_image, *extra):
    return {"datumaro.json": {
        "infos": {}, "categories": {"label": {"labels": [{"name": label, "parent": ""} for label in LABELS]}},
        "items": [
            {"id": name(frame), "annotations": [*map(datumaro_annotation, found), *extra], "attr": {"frame": frame},
             "image": {"path": f"{name(frame)}.jpg", "size": [*SIZE]}}
            for frame, found in group(parts).items()
        ],
    }}  # fmt: skip


def make_datumaro_box():
    files = make_datumaro([GOOD])
    (item,) = files["datumaro.json"]["items"]
    item["annotations"] = [datumaro_annotation(GOOD, type="bbox", bbox=[10, 6, 20, 12])]
    return files


def mots_line(part, number=None):
    class_id = LABELS.index(part.label) + 1
    number = number or {"__ignore__": 10000}.get(part.label, 1000 * class_id + class_id)
    return f"{part.frame} {number} {number // 1000} {HEIGHT} {WIDTH} {compress_rle(encode_rle(part.mask))}\n"


def make_mots(parts):
    return {"mots.txt": "".join(map(mots_line, parts))}


def yolo_line(part, *more):
    sides = [side / length for x, y in part.points for side, length in ((x, WIDTH), (y, HEIGHT))]
    return " ".join(map(str, [LABELS.index(part.label), *(f"{side:.6f}" for side in sides), *more])) + "\n"


def make_yolo(parts, name=name_image):
    files = {f"labels/{name(frame)}.txt": "".join(map(yolo_line, found)) for frame, found in group(parts).items()}
    return files | {"classes.txt": "\n".join(LABELS)}


MAKERS = {
    "masks": make_masks, "colors": make_colors, "objects": make_objects, "coco": make_coco,
    "youtube_vis": make_youtube_vis, "cvat": make_cvat, "label_studio": make_label_studio, "labelme": make_labelme,
    "mots": make_mots, "yolo": make_yolo, "via": make_via, "datumaro": make_datumaro,
}  # fmt: skip
FILES = {"coco": "coco.json", "youtube_vis": "youtube_vis.json", "cvat": "cvat.xml", "label_studio": "tasks.json",
         "mots": "mots.txt", "via": "via.json", "datumaro": "datumaro.json"}  # fmt: skip
"""Names of formats that are one file; others are folders."""


@dataclass(frozen=True)
class Cell:
    """Files and what is read from them."""

    files: dict
    areas: dict | None = None
    """Pixels by frame and object; None: the file is refused."""
    words: str = ""
    """Pattern of the message."""
    options: dict = field(default_factory=dict)
    """Arguments of `read_annotations`, and the video."""
    boxes: dict = field(default_factory=dict)
    path: str | None = None
    """File or folder to read; None: that of the format."""


WHITE_AND_BLACK = [(255, 255, 255), (0, 0, 0)]


def state(mask_format):
    """Options of a cell whose mask images have a stated format."""
    return {"video": replace(VIDEO, mask_format=mask_format)}


def asked(files, areas, mask_format):
    """Mask images that are refused without their format."""
    return [Cell(files, None, "--mask-format ids, binary"), Cell(files, areas, options=state(mask_format))]


def numbering(make):
    """Images 1 and 3 beside a video file: asked about, and read with the number of the first frame."""
    files = make([Part(1), Part(3)])
    asked = "has a frame 1 and no frame 0, .*--mask-start-number"
    stated = replace(UNNAMED, start_number=1)
    return [
        Cell(files, None, asked, {"video": UNNAMED}),
        Cell(files, {0: {1: 100}, 2: {1: 100}}, options={"video": stated}),
    ]


def other_video(make):
    """An image of another video, by its prefix."""
    files = make([Part(0), Part(3)], lambda frame: f"{'cat' if frame == 3 else 'clip'}_{frame:05d}")
    return Cell(files, {0: {1: 100}}, "left out: 1 image of other videos than clip, named 'cat'", {"video": UNNAMED})


def disagreement(files):
    return Cell(files, None, "is number 1 in the file, but 0*2 in its name|describes the image", {"video": UNNAMED})


def negatives(make, *labels):
    words = {"__ignore__": "1 region of undecided pixels", "_background_": "1 region of the class background"}
    return [Cell(make([Part(0), Part(0, label, 8, 4)]), {0: {1: 60}}, words[label]) for label in labels]


def left_out(files, what, place):
    return Cell(files, {1: {1: 100}}, rf"left out: 1 {what} \({place}\)")


def box(files):
    return Cell(files, {}, boxes={1: {1: (10, 6, 20, 12)}}, options={"boxes": True})


def append(make, key, record):
    """Return a file of a square on frame 1, with one more record in a list."""
    files = make([Part(1)])
    (tree,) = files.values()
    tree[key].append(record)
    return files


def write_gif(*ids):
    """Return a function that writes pages of one square, each with its palette, as optimizers do."""

    def write(path):
        pages = [Image.fromarray(np.uint8(key * PAGES[frame].mask), mode="P") for frame, key in enumerate(ids)]
        for page in pages:
            page.putpalette(PALETTE[:5].ravel().tolist())
        pages[0].save(path, save_all=True, append_images=pages[1:], optimize=True)

    return write


def without_names():
    files = make_coco([Part(1), Part(3)])
    for image in files["coco.json"]["images"]:
        del image["file_name"]
    return files


NO_HOLES = ("masks", "mots")
"""Formats that only state undecided pixels."""
GOOD = Part(1)
OTHER = Part(1, "b", 20)
BAD_LINE = "1 .1 .1 7 7 8 8\n"
SEVERAL = [{"id": count, "name": name} for count, name in ((1, "clip"), (2, "cat"))]
COCO_BOX = {"id": 2, "image_id": 1, "bbox": [10, 6, 20, 12], "segmentation": []}
SIDES = {"x": 25, "y": 25, "width": 50, "height": 50}


def coco_of_two_videos():
    files = make_coco([Part(0), Part(1, left=20)], videos=SEVERAL)
    for image in files["coco.json"]["images"]:
        image |= {"video_id": image["id"] + 1, "file_name": "00000.jpg"}
    for annotation in files["coco.json"]["annotations"]:
        annotation["track_id"] = 1
    return files


def youtube_vis_of_two_videos():
    files = make_youtube_vis([Part(0)])
    (tree,) = files.values()
    tree["videos"] = [
        {**tree["videos"][0], "id": count, "file_names": [f"{name}/00000.jpg"]}
        for count, name in ((5, "clip"), (6, "cat"))
    ]
    tree["annotations"].append({**tree["annotations"][0], "video_id": 6, "segmentations": [Part(0, left=20).rle]})
    return files


def cvat_project():
    tasks = "".join(f"<task><id>{n}</id><name>{name}</name></task>" for n, name in ((7, "clip"), (8, "cat")))
    images = "".join(
        cvat_image(0, cvat_shape(Part(0, left=left))).replace("<image", f'<image task_id="{n}"')
        for n, left in ((7, 4), (8, 20))
    )
    return {"cvat.xml": f"<annotations><meta><project><tasks>{tasks}</tasks></project></meta>{images}</annotations>"}


def with_text_ids(files):
    """Return JSON whose integers are text."""

    def convert(value, key=""):
        if isinstance(value, dict):
            return {name: convert(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [convert(item, key) for item in value]
        return str(value) if type(value) is int and (key.endswith("id") or "eight" in key or "idth" in key) else value

    return {name: convert(content) for name, content in files.items()}


def read_tree(path):
    return json.loads(path.read_text())


COUNTERS = {
    "coco": lambda path: len(read_tree(path)["annotations"]),
    "youtube_vis": lambda path: sum(
        segment is not None for record in read_tree(path)["annotations"] for segment in record["segmentations"]
    ),
    "cvat": lambda path: path.read_text().count("<mask "),
    "label_studio": lambda path: sum(len(item["predictions"][0]["result"]) for item in read_tree(path)),
    "mots": lambda path: len(path.read_text().splitlines()),
    "yolo": lambda path: sum(len(file.read_text().splitlines()) for file in path.glob("labels/*.txt")),
}
"""Functions that count the regions in a written file."""
SMOOTH = np.array(Image.fromarray(np.uint8(200 * Part(0).mask)).resize((20, 12)).resize((WIDTH, HEIGHT)))
PAGES = [Part(frame, left=4 + frame) for frame in range(4)]
GROUP = 'group_id="1"'


def labelme_groups(*groups):
    """Two grouped shapes on each frame."""
    return {
        f"{n}.json": labelme(n, shape("a", Part(n).points, group), shape("a", Part(n, left=20).points, group))
        for n, group in enumerate(groups)
    }


TABLE = {
    "statements about a frame agree": {
        **{name: [*numbering(make), other_video(make)] for name, make in MAKERS.items() if name != "mots"},
        "mots": numbering(make_mots),
        "coco": [
            Cell(without_names(), None, "has a frame 1 and no frame 0"),
            *numbering(make_coco),
            other_video(make_coco),
            disagreement(
                {
                    "coco.json": {
                        **make_coco([Part(1), Part(3)])["coco.json"],
                        "images": [
                            {"id": n, "file_name": f"{n + 1}.jpg", "frame_id": n, "height": 24, "width": 40}
                            for n in (1, 3)
                        ],
                    }
                }
            ),
        ],
        "cvat": [*numbering(make_cvat), other_video(make_cvat), disagreement(make_cvat([Part(1)], lambda _: "00002"))],
        "datumaro": [
            *numbering(make_datumaro),
            other_video(make_datumaro),
            disagreement(make_datumaro([Part(1)], lambda _: "00002")),
        ],
        "labelme": [
            Cell({"00001.json": {**labelme(0, shape("a", GOOD.points)), "imagePath": None}}, {1: {1: 100}}),
            *numbering(make_labelme),
            other_video(make_labelme),
            disagreement({"00001.json": labelme(2, shape("a", Part(2).points))}),
            Cell({"00001.json": labelme(2, shape("a", Part(2).points))}, None, "describes the image '00002"),
        ],
    },
    "a key joins only within its scope": {
        "masks": "an id is an object of the video",
        "colors": "a color is an object of the video",
        "objects": "a folder is an object of the video",
        "coco": Cell(coco_of_two_videos(), {0: {1: 100}}),
        "youtube_vis": Cell(youtube_vis_of_two_videos(), {0: {1: 100}}),
        "cvat": [
            Cell(cvat_project(), {0: {1: 100}}),
            Cell(
                make_cvat([], more=cvat_image(0, cvat_shape(Part(0), GROUP), cvat_shape(Part(0, "b", 20), GROUP))),
                {0: {1: 100, 2: 100}},
            ),
        ],
        "label_studio": Cell(
            {
                "tasks.json": [
                    task(frame, label_studio_region(Part(frame, label), "r")) for frame, label in enumerate("ab")
                ]
            },
            {0: {1: 100}, 1: {1: 100}},
            "object r is 'a' and on other frames 'b'",
        ),
        "labelme": [
            Cell(labelme_groups(1, 1), {0: {1: 200}, 1: {1: 200}}),
            Cell(labelme_groups(1, 2), None, "groups 1, 2 of 'a' are on one frame each, so they may be one object"),
        ],
        "via": Cell(
            {
                "via.json": {
                    str(frame): {
                        "filename": f"0000{frame}.jpg",
                        "regions": [via_region(Part(frame, left=20), id=1, track_id="7")] * 2,
                    }
                    for frame in (0, 1)
                }
            },
            {0: {7: 100}, 1: {7: 100}},
        ),
        "datumaro": [
            Cell(
                make_datumaro([Part(0), Part(1)], name_image, datumaro_annotation(Part(0, left=20), **key)),
                {frame: dict.fromkeys(objects, 100) for frame in (0, 1)},
            )
            for key, objects in (({"attributes": {"track_id": 0}}, (1, 2)), ({"group": 7}, (1, 7)))
        ],
        "mots": Cell({"mots.txt": mots_line(Part(0), 1001) + mots_line(Part(0, "b", 20), 2001)}, {0: {1: 100, 2: 100}}),
        "yolo": [
            Cell(
                {"labels/clip/00000.txt": yolo_line(Part(0)), "labels/cat/00000.txt": yolo_line(OTHER)}, {0: {1: 100}}
            ),
            Cell(
                {"labels/00000.txt": yolo_line(Part(0), 7), "labels/00001.txt": yolo_line(OTHER, 7)},
                {0: {7: 100}, 1: {7: 100}},
                "object 7 is '0' and on other frames '1'",
            ),
        ],
    },
    "negatives are data": {
        **{
            name: negatives(make, "__ignore__", "_background_") for name, make in MAKERS.items() if name not in NO_HOLES
        },
        "masks": negatives(make_masks, "__ignore__"),
        "mots": negatives(make_mots, "__ignore__"),
        "coco": [
            *negatives(make_coco, "__ignore__", "_background_"),
            Cell(
                append(
                    make_coco,
                    "annotations",
                    {
                        "id": 2,
                        "image_id": 1,
                        "ignore": 1,
                        "category_id": 1,
                        "segmentation": [np.ravel(OTHER.points).tolist()],
                    },
                ),
                {1: {1: 100}},
                "1 region of undecided pixels",
            ),
        ],
        "youtube_vis": [
            *negatives(make_youtube_vis, "__ignore__", "_background_"),
            Cell(make_youtube_vis([Part(0), Part(1, "_background_", 20)]), {0: {1: 100}, 1: {1: 0}}),
        ],
    },
    "what is not read is named": {
        "masks": "all pixels are read",
        "colors": Cell(
            {**make_colors([GOOD]), "labelmap.txt": "background:0,0,0::\na:255,0,0::"},
            None,
            "100 pixels have the color 200,0,0",
        ),
        "objects": "all pixels are read",
        "coco": [
            left_out(
                append(make_coco, "annotations", {"id": 9, "image_id": 1, "keypoints": [4, 4, 2]}),
                "annotation without a mask or box",
                "00001.jpg, annotation 9",
            ),
            left_out(
                append(make_coco, "annotations", {**COCO_BOX, "image_id": 77}),
                "annotation of an image that the file lacks",
                "image 77, annotation 2",
            ),
            Cell(append(make_coco, "annotations", COCO_BOX), {1: {1: 100}}, "left out: 1 box without a mask"),
            box({"coco.json": {**make_coco([GOOD])["coco.json"], "annotations": [COCO_BOX]}}),
        ],
        "youtube_vis": [
            Cell(
                append(make_youtube_vis, "annotations", {"id": 2, "video_id": 9, "segmentations": [OTHER.rle]}),
                {1: {1: 100}},
                "1 annotation of an image that the file lacks",
            ),
            Cell(
                {
                    "youtube_vis.json": {
                        **make_youtube_vis([GOOD])["youtube_vis.json"],
                        "annotations": [{"id": 1, "video_id": 5, "segmentations": [GOOD.rle] * 2}],
                    }
                },
                None,
                "2 segmentations for 1 images",
            ),
            box(
                {
                    "youtube_vis.json": {
                        **make_youtube_vis([GOOD])["youtube_vis.json"],
                        "annotations": [{"id": 1, "video_id": 5, "segmentations": [None], "bboxes": [[10, 6, 20, 12]]}],
                    }
                }
            ),
        ],
        "cvat": [
            left_out(
                make_cvat([], more=cvat_image(1, cvat_shape(GOOD), '<ellipse cx="9" cy="9" rx="2" ry="3"/>')),
                "shape of kind ellipse",
                "image 00001.jpg, shape 2",
            ),
            box(make_cvat([], more=cvat_image(1, '<box xtl="10" ytl="6" xbr="30" ybr="18"/>'))),
        ],
        "label_studio": [
            *(
                left_out(
                    {"tasks.json": [task(1, label_studio_region(GOOD), label_studio_region(OTHER, "r", kind))]},
                    f"shape of kind {kind}",
                    "/data/upload/3/00001.jpg, region r",
                )
                for kind in ("ellipselabels", "keypointlabels", "unknown")
            ),
            left_out(
                {
                    "tasks.json": [
                        task(1, label_studio_region(GOOD), {**label_studio_region(OTHER, "r"), "image_rotation": 90})
                    ]
                },
                "shape of kind polygonlabels on a rotated image",
                "/data/upload/3/00001.jpg, region r",
            ),
            box({"tasks.json": [task(1, label_studio_region(GOOD, kind="rectanglelabels", **SIDES))]}),
        ],
        "labelme": [
            left_out(
                {"1.json": labelme(1, shape("a", GOOD.points), shape("b", [[9, 9], [12, 9]], kind="circle"))},
                "shape of kind circle",
                "00001.jpg, shape 2",
            ),
            left_out(
                {"1.json": labelme(1, shape("a", GOOD.points)), "notes.json": {}},
                "file in another format",
                "notes.json",
            ),
            box({"1.json": labelme(1, shape("a", [[30, 6], [10, 18]], kind="rectangle"))}),
            box({"1.json": labelme(1, shape("a", [[10, 6], [30, 6], [30, 18], [10, 18]], kind="rectangle"))}),
        ],
        "mots": "all lines are masks",
        "via": [
            left_out(
                make_via([GOOD], name_image, via_region(OTHER, {"name": "circle", "cx": 9, "cy": 9, "r": 2})),
                "shape of kind circle",
                "00001.jpg, region 2",
            ),
            box(
                {
                    "via.json": {
                        "a": {
                            "filename": "00001.jpg",
                            "regions": {
                                "0": via_region(GOOD, {"name": "rect", "x": 10, "y": 6, "width": 20, "height": 12})
                            },
                        }
                    }
                }
            ),
        ],
        "datumaro": [
            *(
                left_out(
                    make_datumaro([GOOD], name_image, datumaro_annotation(OTHER, **record)),
                    f"annotation {words}",
                    "00001.jpg, annotation 2",
                )
                for record, words in (
                    ({"type": "ellipse"}, "of kind ellipse"),
                    ({"attributes": {"keyframe": False}}, "between key frames"),
                )
            ),
            Cell(
                make_datumaro([GOOD], name_image, datumaro_annotation(OTHER, attributes={"outside": True})),
                {1: {1: 100, 2: 0}},
            ),
            box(make_datumaro_box()),
        ],
        "yolo": [
            Cell(
                {"labels/00001.txt": "0 .5 .5 .5 .5 .4 .4 2\n", "data.yaml": "kpt_shape: [1, 3]"},
                {},
                "left out: 1 skeleton of keypoints",
                {"boxes": True},
                {1: {1: (10, 6, 20, 12)}},
            ),
            Cell(
                {"labels/00001.txt": "0 .5 .5 1.000001 1\n"},
                {},
                options={"boxes": True},
                boxes={1: {1: (0, 0, 40, 24)}},
            ),
            box({"labels/00001.txt": "0 .5 .5 .5 .5\n"}),
            box({"obj_train_data/00001.txt": "0 .5 .5 .5 .5\n", "obj.names": "a\n"}),
            box({"00001.txt": "0 .5 .5 .5 .5\n", "classes.txt": "a\n"}),
        ],
    },
    "fields after the geometry": {
        **{name: "fields have names, or a fixed number" for name in MAKERS if name != "yolo"},
        "yolo": [
            Cell(
                {"labels/00001.txt": yolo_line(GOOD, *fields), "labels/00002.txt": yolo_line(Part(2), *fields)},
                {1: {key: 100}, 2: {key: 100}},
            )
            for fields, key in (((0.9,), 1), ((7,), 7), ((0.9, 7), 7))
        ]
        + [Cell({**make_yolo([GOOD]), "labels/classes.txt": "a\nb\n"}, {1: {1: 100}})],
    },
    "a container has several members": {
        "masks": [
            Cell({**make_masks([GOOD]), "classes.txt": "a", "notes.txt": "of a person"}, {1: {1: 100}}),
            *(
                Cell(
                    {f"pages{suffix}": [paint([part], {"a": value}) for part in PAGES]},
                    {frame: {1: 100} for frame in range(4)},
                    path=f"pages{suffix}",
                )
                for suffix, value in ((".tif", 1), (".gif", 1), (".png", 1), (".webp", 255))
            ),
            Cell(
                {"pages.gif": write_gif(2, 1, 4, 1)},
                {0: {2: 100}, 1: {1: 100}, 2: {4: 100}, 3: {1: 100}},
                options=state("palette"),
                path="pages.gif",
            ),
            Cell(
                {"pages.tif": [paint([part], {"a": 1}) for part in PAGES[:3]]},
                None,
                "has 3 pages, but the video has 4 frames",
                path="pages.tif",
            ),
            *(
                Cell({f"00001{suffix}": paint([GOOD], {"a": 255})}, {1: {1: 100}})
                for suffix in (".tif", ".bmp", ".webp")
            ),
        ],
        "colors": [
            Cell(
                {**make_colors([]), f"pages{suffix}": [paint([part], COLORS) for part in PAGES]},
                {frame: {1: 100} for frame in range(4)},
                path=f"pages{suffix}",
            )
            for suffix in (".tif", ".webp", ".png")
        ]
        + [Cell({**make_colors([]), "00001.tif": paint([GOOD], COLORS)}, {1: {1: 100}})],
        "objects": Cell({"a/00001.tif": paint([GOOD], {"a": 255})}, {1: {1: 100}}),
        "coco": "videos are scopes",
        "youtube_vis": "videos are scopes",
        "cvat": "tasks are scopes",
        "label_studio": left_out(
            {
                "tasks.json": [
                    {
                        **task(1, label_studio_region(GOOD)),
                        "annotations": [{"result": [label_studio_region(part)]} for part in (GOOD, OTHER)],
                    }
                ]
            },
            "annotation of an image that has another one",
            "/data/upload/3/00001.jpg",
        ),
        "labelme": Cell(make_labelme([Part(0), Part(2)]), {0: {1: 100}, 2: {1: 100}}),
        "mots": "one list of lines",
        "via": Cell(
            {"via.json": {"_via_settings": {}, "_via_img_metadata": make_via([GOOD])["via.json"]}}, {1: {1: 100}}
        ),
        "datumaro": "one list of items",
        "yolo": Cell(
            {f"labels/{folder}/0000{n}.txt": yolo_line(Part(n)) for n, folder in enumerate(("train", "val"))},
            {0: {1: 100}, 1: {1: 100}},
        ),
    },
    "meaning, not counts": {
        "masks": [
            Cell({"00000.png": SMOOTH}, None, "like the gray ones of a soft or smoothed mask; give --mask-format soft"),
            Cell({"00000.png": SMOOTH}, {0: {1: int((SMOOTH > 127).sum())}}, options=state("soft")),
            *(
                cell
                for suffix in (".png", ".webp", ".tif")
                for cell in asked({f"00001{suffix}": paint([GOOD], {"a": (0, 128, 0)})}, {1: {2: 100}}, "palette")
            ),
            Cell({"00001.png": paint([GOOD], {"a": (0, 128, 1)})}, None, r"a labelmap\.txt beside it"),
            Cell({"00001.png": (paint([GOOD], {"a": 1}), [(0, 0, 0), (255, 255, 255)])}, {1: {1: 100}}),
            *asked({"00001.png": (paint([GOOD], {"a": 1}) ^ 1, WHITE_AND_BLACK)}, {1: {1: 100}}, "binary"),
            *asked({"00001.png": (paint([GOOD], {"a": 1}) ^ 1, [(128, 0, 0), (0, 0, 0)])}, {1: {1: 100}}, "palette"),
            Cell({"00001.png": np.uint16(65535 * GOOD.mask)}, {1: {1: 100}}, "white is object 1"),
            Cell({"00001.png": paint([GOOD], {"a": (255, 255, 255)})}, {1: {1: 100}}, "white is object 1"),
        ],
        "colors": Cell({**make_colors([]), "00001.png": np.dstack([SMOOTH] * 3)}, None, "which the label map lacks"),
        "objects": [
            *asked({"1/00001.png": (paint([GOOD], {"a": 1}) ^ 1, WHITE_AND_BLACK)}, {1: {1: 100}}, "binary"),
            Cell({"a/00001.png": np.uint16(65535 * GOOD.mask)}, {1: {1: 100}}),
            Cell({"a/00001.png": SMOOTH}, None, "is black and white"),
        ],
        "coco": "geometry",
        "youtube_vis": "geometry",
        "cvat": "geometry",
        "label_studio": [
            Cell(
                {
                    "tasks.json": [
                        task(1, label_studio_region(GOOD, kind="bitmasklabels", imageDataURL=f"data:,{png(mask)}"))
                    ]
                },
                {1: {1: 100}},
            )
            for mask in (
                np.uint8(255 * GOOD.mask),
                np.dstack([np.uint8(0 * GOOD.mask)] * 3 + [np.uint8(255 * GOOD.mask)]),
            )
        ],
        "labelme": [
            Cell(
                {
                    "1.json": labelme(
                        1, shape("a", [[4, 4], [13, 13]], kind="mask", mask=png(np.full((10, 10), value, np.uint8)))
                    )
                },
                {1: {1: 100}},
            )
            for value in (1, 255)
        ],
        "mots": "geometry",
        "via": "geometry",
        "datumaro": "geometry",
        "yolo": "geometry",
    },
    "an output is what its readers take": {
        **dict.fromkeys(COUNTERS, "test_output_has_no_region_without_pixels"),
        "masks": "PNGs have no statement about single objects",
        "colors": "not written",
        "objects": "not written",
        "labelme": "not written",
        "via": "not written",
        "datumaro": "not written",
    },
    "one bad region costs a region": {
        **{
            name: Cell({**make([Part(0)]), path: b"x"}, None, f"{path}: not readable")
            for name, make, path in (
                ("masks", make_masks, "00001.png"),
                ("colors", make_colors, "00001.png"),
                ("objects", make_objects, "a/00001.png"),
            )
        },
        "coco": [
            left_out(append(make_coco, "annotations", {"id": 9, "image_id": 1, "segmentation": polygon}), words, place)
            for polygon, words, place in (
                ([1, 1, 9, 1, 9, 9], "region not readable", "00001.jpg, annotation 9: expected a list of polygons, .*"),
                ([[1, 1, 9, 9]], "region without pixels", "00001.jpg, annotation 9"),
                (
                    {"size": [*SIZE], "counts": [7]},
                    "region not readable",
                    "00001.jpg, annotation 9: its run lengths .*",
                ),
            )
        ]
        + [Cell(with_text_ids(make_coco([GOOD, Part(2)])), {1: {1: 100}, 2: {1: 100}})],
        "youtube_vis": [
            left_out(
                append(
                    make_youtube_vis,
                    "annotations",
                    {"id": 9, "video_id": 5, "segmentations": [{"size": [*SIZE], "counts": [7]}]},
                ),
                "region not readable",
                "00001.jpg, annotation 9: its run lengths .*",
            ),
            Cell(with_text_ids(make_youtube_vis([GOOD])), {1: {1: 100}}),
        ],
        "cvat": [
            left_out(
                make_cvat([], more=cvat_image(1, cvat_shape(GOOD), extra)), words, f"image 00001.jpg, shape 2{why}"
            )
            for extra, words, why in (
                ('<mask rle="0, 101" left="2" top="2" width="10" height="10"/>', "region not readable", ": its run .*"),
                (
                    '<polygon points="1,1;2,b;3,1"/>',
                    "region not readable",
                    ": points.3: .*",
                ),
                ('<box xtl="1" ytl="1" ybr="9"/>', "region not readable", ": missing 'xbr'"),
                ('<polygon points="1,1;2,2"/>', "region without pixels", ""),
                ('<polygon points=""/>', "region without pixels", ""),
            )
        ],
        "label_studio": [
            left_out(
                {"tasks.json": [task(1, label_studio_region(GOOD), label_studio_region(OTHER, "r", points=points))]},
                words,
                f"/data/upload/3/00001.jpg, region r{why}",
            )
            for points, words, why in (
                ([[1, 1], "b"], "region not readable", ": points.1: .*"),
                ([[1, 1], [2, 2]], "region without pixels", ""),
            )
        ],
        "labelme": [
            left_out(
                {"1.json": labelme(1, shape("a", GOOD.points), shape("b", points, kind=kind))},
                words,
                f"00001.jpg, shape 2{why}",
            )
            for points, kind, words, why in (
                (BAD_POINTS, "polygon", "region not readable", ": a polygon of 6 .*"),
                ([1, 2], "polygon", "region not readable", ": points.0: .*"),
                ([[1, 1]], "rectangle", "region without pixels", ""),
                ([], "polygon", "region without pixels", ""),
            )
        ]
        + [Cell(with_text_ids({"1.json": labelme(1, shape("a", GOOD.points))}), {1: {1: 100}})],
        "mots": [
            left_out(
                {"mots.txt": mots_line(GOOD) + line}, "region not readable", f"line 2, frame 1, object 2002: {why}"
            )
            for line, why in (
                (f"1 2002 2 {HEIGHT} {WIDTH} abc\n", "its run .*"),
                ("1 2002 2\n", "expected lines of frame.*"),
            )
        ],
        "via": [
            left_out(make_via([GOOD], name_image, via_region(OTHER, shape)), words, f"00001.jpg, region 2{why}")
            for shape, words, why in (
                ({"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1]}, "region not readable", ": .*"),
                ({"name": "polygon", "all_points_x": [1], "all_points_y": [1]}, "region without pixels", ""),
            )
        ],
        "datumaro": [
            left_out(
                make_datumaro([GOOD], name_image, datumaro_annotation(OTHER, **record)),
                words,
                f"00001.jpg, annotation 2{why}",
            )
            for record, words, why in (
                ({"label_id": 77}, "region not readable", ": .*"),
                ({"type": "mask", "rle": {"size": [*SIZE], "counts": [7]}}, "region not readable", ": its run .*"),
                ({"points": [1, 1, 2, 2]}, "region without pixels", ""),
            )
        ],
        "yolo": [
            left_out({"labels/00001.txt": yolo_line(GOOD) + line}, words, f"labels/00001.txt, line 2{why}")
            for line, words, why in (
                (BAD_LINE, "region not readable", ": .* from 0 to 1"),
                ("1 .5 .5 0 0\n", "region without pixels", ""),
            )
        ],
    },
}
CELLS = [
    (rule, name, case)
    for rule, row in TABLE.items()
    for name, cases in row.items()
    for case in (cases if isinstance(cases, list) else [cases])
]


def write_files(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        elif isinstance(content, bytes | str):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        elif isinstance(content, np.ndarray | tuple) or (
            isinstance(content, list) and isinstance(content[0], np.ndarray)
        ):
            write_image(path, content)
        else:
            path.write_text(json.dumps(content))


def write_image(path, content):
    """Write an image, one with a palette, or pages."""
    if isinstance(content, tuple):
        image = Image.fromarray(content[0]).convert("P")
        image.putdata(content[0].ravel().tolist())
        image.putpalette(np.ravel(content[1]).tolist())
        image.save(path)
        return
    first, *others = [Image.fromarray(page) for page in (content if isinstance(content, list) else [content])]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(path, **({"save_all": True, "append_images": others} if others else {}), **options)


def test_table_of_rules_is_complete():
    assert {(rule, name) for rule, name, _ in CELLS} == {*product(TABLE, MAKERS)}
    assert len(TABLE) == 9
    assert len(MAKERS) == 12


@pytest.mark.parametrize(
    ("name", "cell"),
    [pytest.param(name, cell, id=f"{name}-{rule}") for rule, name, cell in CELLS if isinstance(cell, Cell)],
)
def test_file_is_read_by_the_rule(tmp_path, caplog, name, cell):
    write_files(tmp_path, cell.files)
    path = tmp_path / (cell.path or FILES.get(name, ""))
    options = {"video": VIDEO, "check": require_ids, **cell.options}
    if cell.areas is None:
        with pytest.raises(InputError, match=cell.words):
            read_annotations(path, **options)
        return
    found = read_annotations(path, **options)
    areas = {
        frame: {region.object_id: region.area for region in regions}
        for frame, regions in found.frames.items()
        if regions
    }
    assert areas == cell.areas
    assert {
        frame: {key: tuple(np.round(box, 3)) for key, box in boxes.items()} for frame, boxes in found.boxes.items()
    } == cell.boxes
    assert re.search(cell.words, caplog.text)


@pytest.mark.parametrize("name", COUNTERS)
def test_output_has_no_region_without_pixels(tmp_path, name):
    seen = [Region(key, encode_rle(part.mask)) for key, part in ((1, Part(0)), (2, Part(0, "b", 20)))]
    gone = Region(2, encode_rle(np.zeros(SIZE, bool)))
    writer, annotations = find_mask_writer(name), Annotations(SIZE, {0: seen, 1: [seen[0], gone]}, {1: "a", 2: "b"})
    path = tmp_path / writer.file_name
    writer.write(path, annotations, VIDEO)
    assert COUNTERS[name](path) == 3
    found = read_annotations(path, VIDEO)
    assert [sum(region.area > 0 for region in found.frames[frame]) for frame in (0, 1)] == [2, 1]
