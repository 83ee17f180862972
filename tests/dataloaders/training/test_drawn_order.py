"""The clips drawn from every kind of set, as digests: a change of readers must not change what is trained on."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from aotlab.configs.training import DataConfig, SourceConfig
from aotlab.dataloaders.training.phases import open_mixture
from aotlab.media.masks import write_mask
from aotlab.media.synthetic_clip import draw_clip
from tests.dataloaders.training.in_memory import phase
from tests.drawn_clips import write_list

VIDEOS = {"b": 7, "a": 5, "c": 6}


def draw(root, images, masks, *, form="{:05d}", step=1):
    """Three videos with frames as PNG data; the last frame has no mask."""
    for seed, (name, count) in enumerate(VIDEOS.items()):
        frames, labels = draw_clip(count, 72, 96, seed)
        (root / images / name).mkdir(parents=True)
        for index, (frame, mask) in enumerate(zip(frames, labels, strict=True)):
            stem = form.format(step * index)
            Image.fromarray(frame).save(root / images / name / f"{stem}.jpg", format="PNG")
            if index < count - 1:
                write_mask(root / masks / name / f"{stem}.png", mask)


def make_video(root):
    draw(root, "JPEGImages", "Annotations")
    (root / "Annotations/b/00000.png").unlink()
    write_list(root / "ImageSets/some.txt", ["c", "b"])


def make_davis(root):
    draw(root / "DAVIS", "JPEGImages/480p", "Annotations/480p")
    write_list(root / "DAVIS/ImageSets/2017/train.txt", ["c", "a"])
    write_list(root / "DAVIS/ImageSets/2016/train.txt", ["b", "c"])


def make_vost(root):
    draw(root, "JPEGImages", "Annotations", form="frame{:05d}", step=12)
    write_list(root / "ImageSets/train.txt", ["c", "a"])


def make_youtube_vos(root):
    draw(root / "train", "JPEGImages", "Annotations", step=5)
    objects = {}
    for name, count in VIDEOS.items():
        stems = [f"{5 * index:05d}" for index in range(count - 1)]
        objects[name] = {"objects": {"1": {"frames": stems}, "2": {"frames": stems[2:3]}}}
    (root / "train/meta.json").write_text(json.dumps({"videos": objects}))
    write_list(root / "train/ImageSets/some.txt", ["c", "a"])


def make_static(root):
    draw(root, "JPEGImages", "Annotations")


def make_coco(root):
    (root / "train2017").mkdir(parents=True)
    images, annotations = [], []
    for number in (9, 3, 7):
        (frame,), _ = draw_clip(1, 72, 96, number)
        Image.fromarray(frame).save(root / f"train2017/{number}.jpg", format="PNG")
        images.append({"id": number, "file_name": f"{number}.jpg", "height": 72, "width": 96})
        for shift in range(3):
            left, top = 5 + 20 * shift, 4 + number
            corners = [left, top, left + 30, top + 3, left + 25.5, top + 40, left - 4, top + 30]
            counts = {"size": [72, 96], "counts": [72 * 60, 72 * 20, 72 * 16]}
            annotations.append(
                {"id": len(annotations), "image_id": number, "area": 900, "iscrowd": int(shift == 2),
                 "segmentation": counts if shift == 2 else [corners, [1, 2, 3, 4]]}
            )  # fmt: skip
    text = json.dumps({"images": images, "annotations": annotations})
    (root / "instances_train2017.json").write_text(text)


PINNED = {
    ("video", None): "fd85410fc2a599ea",
    ("video", "some"): "997e102ac1c279c9",
    ("davis", None): "5b3aad9336b605ed",
    ("davis", "2016/train"): "747795c11fce67c8",
    ("vost", None): "ed1f13ab6de3cbf1",
    ("youtube_vos", None): "f6bf412ac3d34aad",
    ("youtube_vos", "some"): "5841afcfd8290feb",
    ("static", None): "5e9d04dd08268805",
    ("coco", None): "a05dca3cfa15f16c",
}


@pytest.mark.skipif(
    int(cv2.__version__.split(".")[0]) < 5,
    reason="OpenCV 4 moves pixels on edges elsewhere: OpenCV 5 is pinned",
)
@pytest.mark.parametrize(("kind", "split"), PINNED)
def test_drawn_clips_are_pinned(tmp_path, kind, split):
    globals()[f"make_{kind}"](tmp_path / "set")
    source = SourceConfig("set", kind=kind, split=split)
    settings = phase(source, merge=0.5, steps=8)
    clips = open_mixture(DataConfig(root=str(tmp_path)), settings, 3, max_objects=10)
    total = hashlib.sha256()
    for index in range(len(clips)):
        clip = clips[index]
        names = [name.removeprefix(str(tmp_path)) for name in clip.names]
        assert not clip.unreadable
        total.update(f"{names} {clip.objects} {np.bincount(clip.labels.ravel()).tolist()}".encode())
        total.update(
            clip.labels.tobytes()
        )  # not the frames, which OpenCV interpolates differently by machine
    assert total.hexdigest()[:16] == PINNED[kind, split]
