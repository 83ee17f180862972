"""The data of all phases: which phases run, and what is held back to validate on."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from aotlab.configs.load import load_config
from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training.phases import open_phases
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from tests.dataloaders.training.in_memory import write_videos

RECIPE = "configs/recipes/finetune.yaml"


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of small videos."""

    def make(videos):
        names = [f"clip{number:02d}" for number in range(videos)]
        write_videos(tmp_path, *names, frames=2, size=(40, 40))
        return tmp_path

    return make


def trained_on(data):
    return [
        [video.name for source in mixture.sources for video in source.videos]
        for mixture in data.mixtures.values()
    ]


def test_fine_tuning_holds_videos_back_and_says_which(folder, caplog):
    config = load_config(RECIPE, [f"data.root={folder(20)}"])
    with caplog.at_level(logging.INFO):
        data = open_phases(config)
    held = [video.name for video in data.validation]
    assert held == ["clip05", "clip15"]
    (trained,) = trained_on(data)
    assert len(trained) == 18
    assert not set(trained) & set(held)
    assert "held back from training" in caplog.text
    assert "clip05, clip15" in caplog.text


def test_same_videos_are_held_back_in_every_phase(folder):
    config = load_config(RECIPE, [f"data.root={folder(10)}"])
    (phase,) = config.train.phases
    config = replace(config, train=replace(config.train, phases=[phase, replace(phase, name="again")]))
    data = open_phases(config)
    assert [video.name for video in data.validation] == ["clip05"]
    assert all("clip05" not in names and len(names) == 9 for names in trained_on(data))


@pytest.mark.parametrize("kind", ["video", "static", "link"])
def test_no_phase_trains_on_validation_videos(folder, kind):
    root = folder(20)
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "half.txt").write_text("".join(f"clip{number:02d}\n" for number in range(1, 20, 2)))
    config = load_config(RECIPE, [f"data.root={root.parent}"])
    (phase,) = config.train.phases
    (root / "link").symlink_to(root)
    path = {"video": f"./{root.name}", "static": root.name, "link": f"{root.name}/link"}[kind]
    other = SourceConfig(path, "static" if kind == "static" else "video", "half")
    phases = [
        replace(phase, sources=[SourceConfig(root.name)]),
        replace(phase, name="other", sources=[other]),
    ]
    data = open_phases(replace(config, train=replace(config.train, phases=phases)))
    held = {video.name for video in data.validation}
    assert held == {"clip05", "clip15"}
    (first,), (second,) = (mixture.sources for mixture in data.mixtures.values())
    assert not held & {video.name for video in first.videos}
    items = second.images if kind == "static" else second.videos
    assert len(items) == (16 if kind == "static" else 8)
    assert not any(name in str(item) for item in items for name in held)


def test_source_of_validation_videos_alone_rejected(folder):
    root = folder(10)
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "one.txt").write_text("clip05\n")
    config = load_config(RECIPE, [f"data.root={root.parent}"])
    (phase,) = config.train.phases
    sources = [SourceConfig(root.name), SourceConfig(root.name, split="one")]
    with pytest.raises(InputError, match="validates on all videos of a source; name the validation videos"):
        open_phases(replace(config, train=replace(config.train, phases=[replace(phase, sources=sources)])))


def test_few_videos_are_all_trained_on(folder, caplog):
    with caplog.at_level(logging.INFO):
        data = open_phases(load_config(RECIPE, [f"data.root={folder(9)}"]))
    assert data.validation == []
    assert [len(names) for names in trained_on(data)] == [9]
    assert "no validation" in caplog.text


def test_named_validation_videos_leave_all_others_in_training(folder):
    root = folder(12)
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "val.txt").write_text("clip00\n")
    data = open_phases(load_config(RECIPE, [f"data.root={root}", "data.validation=[{path: .}]"]))
    assert [video.name for video in data.validation] == ["clip00"]
    assert [len(names) for names in trained_on(data)] == [12]


def test_validation_folder_without_list_gives_all_videos(folder):
    root = folder(3)
    data = open_phases(load_config(RECIPE, [f"data.root={root}", "data.validation=[{path: .}]"]))
    assert [video.name for video in data.validation] == ["clip00", "clip01", "clip02"]


def test_masks_without_any_object_rejected(folder):
    root = folder(2)
    for path in root.glob("Annotations/*/*.png"):
        write_mask(path, np.zeros((40, 40), np.uint8))
    with pytest.raises(InputError, match=r"first 20 clips of phase \w+ show no object; check the masks"):
        open_phases(
            load_config(
                RECIPE, [f"data.root={root}", "train.phases.0.crop=65", "train.phases.0.short_edge=64"]
            )
        )
