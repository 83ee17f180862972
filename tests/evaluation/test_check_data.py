"""Checks of a user's own folder before training."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from aotlab.dataloaders.training.sets import read_ids
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.check_data import check_folder, check_videos, find_swapped_ids, read_file_info
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import write_list, write_noise
from aotlab_testing.image_files import write_gray_png
from aotlab_testing.limits import count_comparisons, make_pipe
from aotlab_testing.miniatures import open_dataset

SIZE = 24, 32


def ids(*numbers):
    """A mask with a square of each id."""
    mask = np.zeros(SIZE, np.uint16)
    for place, number in enumerate(numbers):
        mask[2:10, 6 * place : 6 * place + 6] = number
    return mask


def smoothed():
    """Object 2 with pixels of id 1 at two edges."""
    mask = np.zeros(SIZE, np.uint8)
    mask[6:18, 6:20] = 2
    mask[6:18, [6, 19]] = 1
    return mask


@pytest.fixture
def root(tmp_path):
    """Two videos of three frames with objects 1 and 2."""
    for seed, name in enumerate(("a", "b")):
        for index in range(3):
            write_noise(tmp_path / f"JPEGImages/{name}/{index:05d}.jpg", seed=10 * seed + index)
            write_mask(tmp_path / f"Annotations/{name}/{index:05d}.png", ids(1, 2))
    return tmp_path


def frame(root, index=1):
    return root / f"JPEGImages/a/{index:05d}.jpg"


def mask(root, index=1):
    return root / f"Annotations/a/{index:05d}.png"


def move(path, name):
    path.rename(path.with_name(name))


def test_benchmark_may_have_ids_that_training_may_not(root):
    for path in root.glob("Annotations/*/*.png"):
        write_mask(path, ids(1, 300))
    assert check_videos(open_dataset("folder", root), benchmark=find_benchmark("folder")).findings == []


def test_good_folder_has_no_findings(root):
    mask(root, 2).unlink()  # a frame may have no mask
    report = check_folder(root, "video")
    assert report.findings == []
    assert (report.num_videos, report.num_frames, report.num_labeled, report.num_objects) == (2, 6, 5, 4)
    assert dict(report.sizes) == {SIZE: 6}


def test_files_of_the_mask_command_are_not_frames(root):
    write_noise(root / "JPEGImages/a/00000.overlay.jpg")
    write_mask(root / "JPEGImages/a/00000.mask.png", ids(1))
    report = check_folder(root, "video")
    assert report.num_frames == 6
    (finding,) = report.findings
    assert (finding.level, finding.file.name, finding.repeats) == ("warning", "00000.mask.png", 1)


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_masks_of_few_bits_have_the_ids_of_training(root, bits):
    for path in root.glob("Annotations/*/*.png"):
        write_gray_png(path, ids(1, 2).astype(np.uint8), bits)
        assert np.unique(read_ids(path)).tolist() == [0, 1, 2]
        assert read_file_info(path, read=read_ids).ids == (1, 2)
    report = check_folder(root, "video")
    assert (report.findings, report.num_objects) == ([], 4)


CORRUPTED = {
    "mask without frame": (lambda root: frame(root).unlink(),
        r"warning .*/Annotations/a/00001\.png: no frame of this name"),
    "mask of another size": (lambda root: write_mask(mask(root), np.ones((5, 6))),
        r"error .*a/00001\.png: 6×5, but its frame is 32×24; give a mask"),
    "frame of another size": (lambda root: (write_noise(frame(root, 0), (10, 12)), mask(root, 0).unlink()),
        r"error .*a/00000\.jpg: 12×10, but most frames of its video 32×24; give"),
    "frame filled up with zeros": (lambda root: frame(root).write_bytes(frame(root).read_bytes()[:-300] + bytes(300)),
        r"error .*a/00001\.jpg: not readable \(file is truncated\); restore it, or save it again"),
    "cut mask": (lambda root: mask(root).write_bytes(mask(root).read_bytes()[:-40]),
        r"error .*a/00001\.png: not readable \(.*\); give a palette PNG"),
    "colored mask": (lambda root: Image.new("RGB", SIZE[::-1], "red").save(mask(root)),
        r"error .*a/00001\.png: has colors, .* not object ids; give a palette"),
    "jpeg inside": (lambda root: Image.new("L", SIZE[::-1]).save(mask(root), format="JPEG"),
        r"error .*a/00001\.png: not readable .JPEG, not PNG.; give"),
    "large id": (lambda root: write_mask(mask(root), ids(1, 2, 300)),
        r"error .*: object id 300; ids of training masks"),
    "smoothed edge of an id": (lambda root: write_mask(mask(root), smoothed()),
        r"warning .*a/00001\.png: 2 values, like the gray ones of a soft or smoothed mask; if it is one, save it"),
    "empty first mask": (lambda root: write_mask(mask(root, 0), ids()),
        r"warning .*a/00000\.png: the first mask has no object; start"),
    "late id": (lambda root: [write_mask(mask(root, i), ids(1, 2, 3, 4)) for i in (1, 2)],
        r"warning .*a/00001\.png: id 3, 4 is not in the first mask, 00000\.png; correct for .* its earlier id$"),
    "objects of 255": (lambda root: [write_mask(mask(root, i), ids(255)) for i in range(3)],
        r"error .*a/00000\.png: the only values in the masks of this video are 0 and 255.*; write the object as 1"),
    "one frame": (lambda root: [p.unlink() for i in (1, 2) for p in (frame(root, i), mask(root, i))],
        r"warning .*JPEGImages/a: 1 frame with a mask; training needs 2 masks"),
    "other image": (lambda root: (root / "JPEGImages/a/x.bmp").touch(),
        r"warning .*x\.bmp: not read; convert it to JPEG or PNG"),
    "jpeg mask": (lambda root: (root / "Annotations/a/x.jpg").touch(),
        r"warning .*x\.jpg: not read; convert it to palette PNG"),
    "padding of a mask": (lambda root: move(mask(root), "1.png"),
        r"error .*Annotations/a/1\.png: name differs from its frame 00001\.jpg; rename the mask to 00001\.png"),
    "a stray frame": (lambda root: write_noise(root / "JPEGImages/1.jpg"),
        r"error .*JPEGImages/1\.jpg: frame outside a video's folder, not used; make"),
    "masks of no video": (lambda root: (root / "Annotations/c").mkdir(),
        r"warning .*Annotations/c: masks without frames .*, not used; add"),
}  # fmt: skip


def test_names_in_another_letter_case_are_reported(root):
    (root / "Annotations" / "a").rename(root / "Annotations" / "A")
    findings = "\n".join(str(finding) for finding in check_folder(root, "video").findings)
    assert "Annotations/A: masks without frames in a folder of this name (letter case counts)" in findings


@pytest.mark.parametrize("case", CORRUPTED)
def test_fault_is_reported_in_one_line_with_its_remedy(root, case):
    corrupt, expected = CORRUPTED[case]
    corrupt(root)
    findings = [str(finding) for finding in check_folder(root, "video").findings]
    assert len(findings) == 1, findings
    assert re.match(expected, findings[0]), findings[0]


def test_folder_without_training_data_is_an_error(root):
    for path in (root / "Annotations").rglob("*.png"):
        path.unlink()
    report = check_folder(root, "video")
    assert "nothing to train on; expected JPEGImages/<video>/00000.jpg" in str(report.findings[0])
    assert sorted(finding.level for finding in report.findings) == ["error", "warning", "warning"]


def test_single_images_are_checked_one_by_one(root):
    write_mask(mask(root, 0), ids())
    write_mask(mask(root, 1), ids(255))
    write_mask(mask(root, 2), ids(7, 9, 255))
    write_noise(root / "JPEGImages/a/other.jpg", (10, 12))
    write_mask(root / "Annotations/a/other.png", np.ones((10, 12)))
    report = check_folder(root, "static")
    assert [finding.message for finding in report.findings] == ["no object; draw one or remove the pair"]
    assert (report.num_videos, report.num_frames, report.num_objects) == (2, 7, 10)


def test_single_images_as_video_name_the_kind(root):
    for side in range(10, 20):
        write_noise(root / f"JPEGImages/a/{side:05d}.jpg", (side, side))
    (finding, *others) = check_folder(root, "video").findings
    assert len(others) == 9
    assert str(finding).endswith("give frames of one size, or use kind static for single images")


def test_equal_warnings_of_a_folder_are_one_line(root):
    for name in ("x", "y", "z"):
        (root / f"JPEGImages/a/{name}.txt").touch()
    (root / "JPEGImages/b/x.txt").touch()
    lines = [str(finding) for finding in check_folder(root, "video").findings]
    assert [line.endswith("remove it (2 more in this folder)") for line in lines] == [True, False]


def test_folder_without_masks_rejected(root):
    shutil.rmtree(root / "Annotations")
    for kind in ("video", "static"):
        with pytest.raises(InputError, match=r"no Annotations in it; expected JPEGImages/<"):
            check_folder(root, kind)


def test_circular_links_and_pipes_are_reported(tmp_path):
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / kind / "a").mkdir(parents=True)
        (tmp_path / kind / "one").symlink_to(tmp_path / kind / "two")
        (tmp_path / kind / "two").symlink_to(tmp_path / kind / "one")
        ending = "jpg" if kind == "JPEGImages" else "png"
        (tmp_path / kind / "a" / f"00000.{ending}").symlink_to(tmp_path / kind / "a" / f"00000.{ending}")
        make_pipe(tmp_path / kind / "a" / f"00001.{ending}")
    report = check_folder(tmp_path, "video")
    assert any("00000.jpg: no such file" in str(finding) for finding in report.findings)
    assert any("00001.jpg: not a regular file" in str(finding) for finding in report.findings)


@pytest.mark.parametrize(
    ("frames", "reported"),
    [({1: (2, 1)}, ["1"]), ({1: (2, 1), 2: (2, 1)}, ["1"]), ({0: (2, 1)}, ["1"]), ({1: (3, 1)}, []), ({}, [])],
)
def test_swapped_ids_are_reported_once(root, frames, reported):
    for index, numbers in frames.items():
        write_mask(mask(root, index), ids(*numbers))
    errors = [finding for finding in check_folder(root, "video").findings if finding.level == "error"]
    assert [finding.file for finding in errors] == [mask(root, int(index)) for index in reported]
    assert all("ids 1, 2 are swapped" in finding.message for finding in errors)


def test_three_swapped_ids_are_reported():
    first, second = ids(1, 2, 3, 4), ids(3, 1, 2, 4)
    assert find_swapped_ids(first, second) == {1, 2, 3}


def test_queue_of_objects_is_not_swapped():
    assert find_swapped_ids(ids(1, 2, 3), ids(9, 1, 2, 3)) == frozenset()


@pytest.mark.parametrize("place", ["lists", "folder"])
def test_copy_of_a_validation_video_is_an_error(root, tmp_path, place):
    for part in ("JPEGImages", "Annotations"):
        target = root / part if place == "lists" else root / "held" / part
        shutil.copytree(root / part / "a", target / "second")
    if place == "lists":
        write_list(root / "ImageSets/train.txt", ["a", "b"])
        write_list(root / "ImageSets/val.txt", ["second"])
    findings = check_folder(root, "video", validation=root / "held" if place == "folder" else None).findings
    assert [(finding.level, finding.file.name) for finding in findings] == [("error", "second")]
    assert re.match("a validation video that is also trained on, .*JPEGImages/a/0000", findings[0].message)


def test_copied_video_is_a_warning(root):
    for part in ("JPEGImages", "Annotations"):
        shutil.copytree(root / part / "a", root / part / "second")
    assert [str(finding) for finding in check_folder(root, "video").findings] == [
        f"warning {root}/JPEGImages/second: same frames as a; remove one of them"
    ]


def test_time_to_check_names_is_proportional_to_their_number(tmp_path, monkeypatch):
    frames, masks = (tmp_path / name / "a" for name in ("JPEGImages", "Annotations"))
    write_noise(frames / "000.jpg")
    write_mask(masks / "000.png", ids(1))
    for index in range(1, 100):
        shutil.copy(frames / "000.jpg", frames / f"{index:03d}.jpg")
        shutil.copy(masks / "000.png", masks / f"{index:03d}.png")
    comparisons = count_comparisons(monkeypatch)
    assert check_folder(tmp_path, "video").findings == []
    assert comparisons() < 2000
