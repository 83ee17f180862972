"""Every benchmark's reader opens its miniature: what holds for all of them."""

from pathlib import Path

import numpy as np
import pytest

from aotlab.dataloaders.benchmarks.datasets import DATASETS, open_dataset
from aotlab.dataloaders.benchmarks.sequences import list_frames
from aotlab.engine.benchmark.scoring import has_annotations
from aotlab.evaluation.rules import RULES
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab.media.object_masks import read_labels
from aotlab.utils.errors import InputError
from tests import miniatures

SCORED = {name: miniatures.scored_split(name) for name, dataset in DATASETS.items() if not dataset.hota}
"""data set to a split whose annotations are public"""
HIDDEN = {
    "davis2017": "test", "youtubevos2018": "val", "youtubevos2019": "val", "vost": "test", "mose": "val",
    "mosev2": "val", "lvosv1": "test", "lvosv2": "test",
}  # fmt: skip
"""data set to a split that a server scores"""


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A data set's miniature, made once."""
    made: dict[str, Path] = {}

    def root(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            getattr(miniatures, f"make_{name}")(made[name])
        return made[name]

    return root


@pytest.mark.parametrize(("name", "split"), [*SCORED.items(), *HIDDEN.items(), ("burst", "val")])
def test_videos_are_whole_and_in_order(make, name, split):
    videos = open_dataset(name, make(name), split)
    assert [video.name for video in videos] == sorted(video.name for video in videos)
    assert videos
    for video in videos:
        stems = [path.stem for path in video.frames]
        assert stems == sorted(set(stems))
        assert video.reference_masks
        assert video.rules in RULES
        assert {path.stem for path in video.annotations} <= set(stems)
        for index, path in video.reference_masks.items():
            assert path.stem == stems[index]
            assert read_labels(path).shape == read_image(video.frames[index]).shape[:2]


@pytest.mark.parametrize(("name", "split"), [*SCORED.items(), *HIDDEN.items()])
def test_only_public_splits_have_annotations(make, name, split):
    videos = open_dataset(name, make(name), split)
    assert {has_annotations(video) for video in videos} == {SCORED.get(name) == split}


@pytest.mark.parametrize("name", SCORED)
def test_missing_and_empty_root_say_what_is_missing(name, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder; expected .*JPEGImages") as caught:
        open_dataset(name, tmp_path / "nowhere")
    assert name == "folder" or "https://" in str(caught.value)
    with pytest.raises(InputError, match=r"no such (folder|list file)"):
        open_dataset(name, tmp_path)


def test_layout_of_another_data_set_is_suspected():
    sample = Path(__file__).parents[3] / "datasets" / "sample"
    with pytest.raises(
        InputError, match="JPEGImages: no frame, but the folder 480p, as in another data set's layout"
    ):
        list_frames(sample / "JPEGImages")


@pytest.mark.parametrize("option", ["all_frames", "new_objects"])
def test_inapplicable_option_rejected(make, option):
    with pytest.raises(InputError, match=rf"^--{option.replace('_', '-')}: not for davis2017; only for "):
        open_dataset("davis2017", make("davis2017"), **{option: True})


def test_folder_may_bring_new_objects_in_later_masks(make):
    first, second = open_dataset("folder", make("folder"), new_objects=True)
    assert sorted(second.reference_masks) == list(range(6))
    assert second.rules == "folder_late"
    assert sorted(np.unique(read_mask(first.reference_masks[0]))) == [0, 1, 4]
    assert [sorted(video.reference_masks) for video in open_dataset("folder", make("folder"))] == [[0], [0]]


def test_mose_skips_single_frame_videos(make, caplog):
    assert [video.name for video in open_dataset("mose", make("mose"), "train")] == ["0a0b0c0d", "1a1b1c1d"]
    assert "330ac20d" in caplog.text


def test_long_videos_begin_with_their_first_mask(make):
    blueboy, dressage = open_dataset("longvideo", make("longvideo"))
    assert (len(blueboy.frames), len(blueboy.annotations), blueboy.merge_ids) == (12, 4, True)
    assert (dressage.frames[0].stem, dressage.reference_masks[0].stem, len(dressage.frames)) == (
        "00001",
        "00001",
        9,
    )


def test_visor_marks_unseen_kitchens(make):
    videos = open_dataset("visor", make("visor"))
    assert [video.seen for video in videos] == [True, False]
    with pytest.raises(InputError, match=r"test\.txt: no such list file; lists here: val, val_unseen"):
        open_dataset("visor", make("visor"), "test")
