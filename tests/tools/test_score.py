"""The ``score`` command on miniatures of benchmarks and on results of one video."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from aotlab import __version__
from aotlab.evaluation.benchmarks import BUILT_IN
from aotlab.media.masks import read_mask, write_mask
from aotlab.tools.score import main
from aotlab_testing import miniatures
from aotlab_testing.drawn_clips import draw_box, write_images, write_masks
from aotlab_testing.limits import limit_file_size
from aotlab_testing.miniatures import open_dataset
from aotlab_testing.tracked import write_tracked

DAVIS = ("J&F", "J", "J-Recall", "J-Decay", "F", "F-Recall", "F-Decay")
GROUPS = ("J_seen", "J_unseen", "F_seen", "F_unseen")
COLUMNS = {
    **dict.fromkeys(("davis2016", "davis2017", "mose", "longvideo", "sav", "folder"), DAVIS),
    **dict.fromkeys(("youtubevos2018", "youtubevos2019"), ("overall", *GROUPS, "J&F", "J", "F")),
    **dict.fromkeys(("lvosv1", "lvosv2"), ("J&F", "J", "F", "V", *GROUPS, "V_seen", "V_unseen")),
    "vost": ("J", "J-Recall", "J-Decay", "J_tr", "J_tr-Recall", "J_tr-Decay"),
    "mosev2": ("J&F_dot", "J", "F_dot", "J&F_d", "J&F_r", "J&F", "F"),
    "visor": (*DAVIS, "J&F_unseen", "J_unseen", "F_unseen"),
}
"""What scores.json says of all objects."""


def prepare(name, folder):
    """Make a data set and perturbed results; the arguments that score them."""
    split = miniatures.scored_split(name)
    miniatures.make_with_results(name, folder, split)
    root, results = str(folder / "root"), str(folder / "results")
    return ["--dataset", name, "--root", root, "--split", split, results]


@pytest.fixture
def davis(tmp_path):
    return prepare("davis2017", tmp_path)


@pytest.fixture
def truth(davis, tmp_path):
    """Annotations of the first sequence."""
    return min((tmp_path / "root" / "Annotations" / "480p").iterdir())


@pytest.mark.parametrize("name", BUILT_IN)
def test_data_set_is_scored_by_its_own_rules(name, tmp_path, capsys):
    assert main([*prepare(name, tmp_path), "--workers", "1", "--json", str(tmp_path / "scores.json")]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    sequences = scores.pop("sequences")
    assert (scores.pop("fps"), scores.pop("failures")) == (None, {})
    frames = scores.pop("frames")
    assert frames["scored"] == frames["expected"] > 0
    assert sorted(scores) == sorted(COLUMNS[name])
    # moved by two pixels: worse than right, better than wrong
    assert 30 < scores["J"] < 95
    text = capsys.readouterr().out
    assert all(sequence in text for sequence in sequences)
    objects = sum(len(values["objects"]) for values in sequences.values())
    assert f"mean of {objects} objects" in text
    means = [words[0] for words in map(str.split, text.splitlines()) if words[1:2] == ["mean"]]
    assert means == [sequence for sequence, values in sequences.items() if len(values["objects"]) > 1]


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "sav"])  # whose objects overlap
def test_annotations_as_results_score_100(name, tmp_path):
    command = [*prepare(name, tmp_path), "--workers", "1", "--json", str(tmp_path / "scores.json")]
    videos = open_dataset(name, tmp_path / "root", miniatures.scored_split(name))
    miniatures.write_perturbed(videos, tmp_path / "results", shift=0)
    assert main(command) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert {scores[key] for key in ("J", "F", "J_tr", "overall", *GROUPS) if key in scores} == {100}


def test_several_folders_are_compared_in_one_table(davis, tmp_path, capsys, caplog):
    other, path = tmp_path / "other", tmp_path / "scores.json"
    shutil.copytree(tmp_path / "results", other)
    write_mask(other / "camel" / "00001.png", np.zeros_like(read_mask(other / "camel" / "00001.png")))
    write_mask(other / "bear" / "00001.png", np.full((480, 200), 7, np.uint8))
    line = [*davis, str(other), "--workers", "1", "--json", str(path)]
    assert main(line) == 1
    output = capsys.readouterr()
    header, _, *rows, _, note = output.out.splitlines()
    assert header.split() == ["results", *DAVIS]
    assert note == "over the 1 of 2 sequences that are scored in all folders"
    assert [row.split()[0] for row in rows] == [str(tmp_path / "results"), str(other)]
    scores = json.loads(path.read_text())
    values = [row.replace(" (1 of 2 sequences)", "").split()[1] for row in rows]
    assert list(map(float, values)) == [round(table["J&F"], 1) for table in scores.values()]
    assert ["(1 of 2 sequences)" in row for row in rows] == [False, True]
    (record,) = caplog.records
    problem = f"{other / 'bear' / '00001.png'}: unknown ids 7; the objects are 1, 2"
    assert record.getMessage().startswith(f"bear: not scored: {problem}")
    assert "bear" not in output.err.replace(caplog.text, "")
    assert [list(table["sequences"]) for table in scores.values()] == [["camel"], ["camel"]]
    assert main([*line, "--worst", "1", "--force"]) == 2
    assert "--worst" in capsys.readouterr().err
    assert main([*line, "--compare", "--force", "--format", "csv"]) == 1
    output = capsys.readouterr()
    assert output.out.splitlines()[0] == ",first,second,difference,95% interval"
    assert f"second: {other} (1 of 2 sequences)" in output.err


def test_two_systems_are_compared(davis, tmp_path, capsys):
    folders = [tmp_path / name for name in ("results", "repeated", "exact", "exact_again")]
    shutil.copytree(folders[0], folders[1])
    videos = open_dataset("davis2017", tmp_path / "root", miniatures.scored_split("davis2017"))
    for folder in folders[2:]:
        miniatures.write_perturbed(videos, folder, shift=0)
    line = [*davis, *map(str, folders[1:]), "--workers", "1", "--json", str(tmp_path / "scores.json"), "--compare"]
    assert main(line) == 0
    text = capsys.readouterr().out
    assert f"first: {folders[0]}, {folders[1]}\nsecond: {folders[2]}, {folders[3]}\n" in text
    assert "the second is better on 2, worse on 0, equal on 0 of 2 sequences" in text
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["columns"]["J&F"]["second"] == 100
    assert 0 < scores["columns"]["J&F"]["interval"][0] <= scores["columns"]["J&F"]["difference"]
    assert "warning: 2 sequences: too few for a reliable interval" in text
    assert scores["warning"].startswith("2 sequences")
    assert (scores["resamples"], scores["level"]) == (10_000, 0.95)
    assert scores["inputs"] == {"dataset": "davis2017", "split": "val"}
    assert scores["provenance"]["aotlab"] == __version__
    assert scores["second"] == [str(folder) for folder in folders[2:]]
    assert set(scores["sequences"]) == {"bear", "camel"}


@pytest.mark.parametrize("options", [[], ["--compare"]])
def test_folder_given_twice_rejected(davis, tmp_path, options, run_expecting_error):
    (tmp_path / "link").symlink_to(tmp_path / "results")
    line = run_expecting_error(main, *davis, tmp_path / "link", *options)
    assert f"RESULTS {tmp_path / 'link'}: given twice; give each folder once" in line


@pytest.mark.parametrize("names", [[], ["other", "third"]])
def test_comparison_of_unequal_numbers_rejected(davis, tmp_path, names, run_expecting_error):
    for name in ("other", "third"):
        shutil.copytree(tmp_path / "results", tmp_path / name)
    others = [tmp_path / name for name in names]
    assert "--compare: needs two RESULTS" in run_expecting_error(main, *davis, *others, "--compare")


def test_folders_without_a_common_sequence_rejected(davis, tmp_path, run_expecting_error):
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "results", other)
    (other / "bear" / "00001.png").unlink()
    (tmp_path / "results" / "camel" / "00001.png").unlink()
    assert "no sequence is scored in all 2 folders" in run_expecting_error(main, *davis, other, "--workers", "1")


def test_full_disk_ends_a_scoring_with_its_table_printed(davis, tmp_path, capsys):
    with limit_file_size(10):
        assert main([*davis, "--workers", "1", "--json", str(tmp_path / "scores.json")]) == 2
    output = capsys.readouterr()
    assert "mean of 3 objects" in output.out
    assert "scores.json: cannot be written (File too large)" in output.err
    assert not list(tmp_path.glob("*scores*"))


@pytest.fixture
def bad_bear(davis, tmp_path):
    """A command whose second object of the first sequence is the worst."""
    path = tmp_path / "results" / "bear" / "00002.png"
    labels = read_mask(path)
    write_mask(path, np.where(labels == 2, 0, labels))
    return davis


def test_worst_frames_come_first(bad_bear, capsys):
    assert main([*bad_bear, "--worst", "2"]) == 0
    _, sequences, frames = re.split("worst (?:sequences|frames) in J&F:\n", capsys.readouterr().out)
    assert [line.split()[2] for line in sequences.splitlines()] == ["bear", "camel"]
    first, second = (line.split() for line in frames.splitlines())
    assert (first, second[0]) == (["1", "0.0", "bear", "2", "00002"], "2")


def test_worst_frames_are_drawn(bad_bear, tmp_path):
    command = [*bad_bear, "--draw-worst", str(tmp_path / "worst"), "--worst"]
    assert main([*command, "2"]) == 0
    images = sorted((tmp_path / "worst").iterdir())
    assert images[0].name == "01_bear_2_00002.jpg"
    assert len(images) == 2
    with Image.open(images[0]) as image:
        # truth and result of 200×480, at 360 pixels, with a gap of 4
        assert (image.format, image.size) == ("JPEG", (2 * 150 + 4, 360))
    others = {"01_other_2_00002.jpg", "2024_bear_trip.jpg", "01_brown_bear_1.jpg", "01_bear_2_trip.jpg"}
    for name in others:
        (tmp_path / "worst" / name).touch()
    assert main([*command, "1", "--force"]) == 0
    assert {path.name for path in (tmp_path / "worst").iterdir()} == {"01_bear_2_00002.jpg", *others}


def test_frames_lost_by_the_second_are_drawn(bad_bear, tmp_path, capsys):
    exact = tmp_path / "exact"
    videos = open_dataset("davis2017", tmp_path / "root", miniatures.scored_split("davis2017"))
    miniatures.write_perturbed(videos, exact, shift=0)
    line = [*bad_bear[:-1], str(exact), bad_bear[-1], "--compare", "--worst", "1", "--draw-worst", tmp_path / "worst"]
    assert main([*map(str, line), "--workers", "1", "--json", str(tmp_path / "scores.json")]) == 0
    (frame,) = json.loads((tmp_path / "scores.json").read_text())["worst_frames"]
    assert (frame["sequence"], frame["object_id"], frame["frame"], round(frame["value"])) == ("bear", 2, "00002", -100)
    (image,) = (tmp_path / "worst").iterdir()
    text = capsys.readouterr().out.split("frames on which the second loses most in J&F:\n")[1]
    assert text.split() == ["1", "-100.0", "bear", "2", "00002", str(image)]
    with Image.open(image) as drawn:
        assert drawn.size == (3 * 150 + 8, 360)


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_comparison_is_plotted(davis, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    plot, exact = tmp_path / f"plot{suffix}", tmp_path / "exact"
    videos = open_dataset("davis2017", tmp_path / "root", miniatures.scored_split("davis2017"))
    miniatures.write_perturbed(videos, exact, shift=0)
    assert main([*davis, str(exact), "--compare", "--plot", str(plot), "--workers", "1"]) == 0
    magic = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
    assert plot.read_bytes().startswith(magic[suffix])


def test_plot_without_matplotlib_names_its_extra(davis, tmp_path, monkeypatch, run_expecting_error):
    monkeypatch.setattr("aotlab.utils.errors.find_spec", lambda module: None if module == "matplotlib" else module)
    line = run_expecting_error(main, *davis, *davis[-1:], "--compare", "--plot", tmp_path / "plot.png")
    assert "matplotlib must be installed for this; pip install 'aotlab[plot]'" in line


def test_sequences_that_are_not_scored_are_in_the_file(davis, tmp_path):
    (tmp_path / "results" / "bear" / "00002.png").unlink()
    assert main([*davis, "--json", str(tmp_path / "scores.json")]) == 1
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (list(scores["sequences"]), list(scores["failures"])) == (["camel"], ["bear"])


def number_from_1(folder):
    """Rename the files of a folder by the number after that of their frame."""
    for path in sorted(folder.iterdir(), reverse=True):
        path.rename(folder / f"{int(path.stem) + 1:05d}.png")


def test_results_numbered_from_1_are_named(davis, truth, tmp_path, caplog):
    folder = tmp_path / "results" / "bear"
    count = len(list(folder.iterdir()))
    number_from_1(folder)
    sentence = (
        f"{folder}: its files are one frame late, 00001 to {count:05d} instead of 00000 to {count - 1:05d}, so the "
        "scores are wrong; rename them"
    )
    assert main([*davis, "--workers", "1"]) == 0
    assert caplog.messages == [sentence]
    assert main([str(folder), "--annotations", str(truth), "--workers", "1"]) == 0
    assert caplog.messages == [sentence] * 2


def test_results_of_other_frames_are_not_named(truth, tmp_path, caplog):
    shutil.copytree(truth, tmp_path / "bear")
    for path in sorted(truth.iterdir())[1::2]:
        path.unlink()
    shutil.copy(min(truth.iterdir()), truth / "00100.png")
    shutil.copy(min(truth.iterdir()), tmp_path / "bear" / "00100.png")
    assert main([str(tmp_path / "bear"), "--annotations", str(truth), "--workers", "1"]) == 0
    assert caplog.messages == []


def test_results_of_something_else_rejected(davis, tmp_path, run_expecting_error):
    line = run_expecting_error(main, *davis, tmp_path / "root")
    assert "root: contains no results of 2 sequences; expected" in line
    assert "bear/<frame>.png" in line


def test_absent_truth_rejected(davis, tmp_path, run_expecting_error):
    for path in (tmp_path / "root" / "Annotations").rglob("*.png"):
        if path.stem != "00000":
            path.unlink()
    assert "only the first-frame masks are public; expected annotations" in run_expecting_error(main, *davis)


@pytest.mark.parametrize(("name", "split"), [("vost", "test"), ("mose", "val"), ("lvosv2", "test")])
def test_server_split_names_submit(name, split, tmp_path, run_expecting_error):
    miniatures.make(name, tmp_path)
    dataset_options = ["--dataset", name, "--root", tmp_path, "--split", split]
    line = run_expecting_error(main, *dataset_options, tmp_path)
    assert f"the masks of {name} {split} are not public" in line
    assert f"aotlab submit --dataset {name} --root {tmp_path} --split {split}" in line


@pytest.mark.parametrize("options", [["--workers", "0"], ["--draw-worst", "worst"], ["--plot", "plot.png"]])
def test_bad_options_rejected(davis, run_expecting_error, options):
    assert options[0] in run_expecting_error(main, *davis, *options)


def test_objects_in_separate_folders_are_drawn(tmp_path, capsys):
    options = [*prepare("sav", tmp_path), "--worst", "2", "--draw-worst", str(tmp_path / "worst")]
    assert main([*options, "--workers", "1"]) == 0
    assert len(list((tmp_path / "worst").iterdir())) == 2
    assert "worst frames in J&F" in capsys.readouterr().out


def test_annotation_without_a_frame_is_drawn(tmp_path):
    options = [*prepare("folder", tmp_path), "--worst", "9", "--draw-worst", str(tmp_path / "worst")]
    sorted((tmp_path / "root" / "JPEGImages" / "first").iterdir())[1].unlink()
    assert main([*options, "--workers", "1"]) == 0
    assert "01_first_4_00001.jpg" in {path.name for path in (tmp_path / "worst").iterdir()}


def test_folder_of_black_and_white_masks_has_one_object(tmp_path, capsys):
    mask = draw_box((24, 32), (4, 12), (6, 20), 255)
    for kind, form in (("JPEGImages", "{:05d}.jpg"), ("Annotations", "{:05d}.png")):
        write_images(tmp_path / "root" / kind / "clip", [mask] * 4, form)
    write_masks(tmp_path / "results" / "clip", [mask // 255] * 4)
    places = ["--root", str(tmp_path / "root"), str(tmp_path / "results")]
    options = ["--dataset", "folder", *places]
    assert main([*options, "--workers", "1"]) == 0
    text = capsys.readouterr().out
    assert "100.0" in text
    assert "mean of" not in text


def test_run_of_some_frames_is_scored_on_these(truth, tmp_path, read_error_line, caplog):
    results, frames = tmp_path / "part", sorted(truth.iterdir())
    (results / "masks").mkdir(parents=True)
    for path in frames[:3]:
        shutil.copy(path, results / "masks")
    line = [str(results), "--annotations", str(truth), "--workers", "1", "--json", str(tmp_path / "one.json")]
    write_tracked(results, status="unfinished")
    assert "part: results of an unfinished run (not finished)" in read_error_line(main(line))
    write_tracked(results)
    assert main([*line, "--force"]) == 0
    assert json.loads((tmp_path / "one.json").read_text())["J"] == 100
    assert f"scored on frames {frames[0].stem} to {frames[2].stem}, which were tracked" in caplog.text


def test_one_result_is_scored_against_one_folder(davis, truth, tmp_path):
    args = ["--workers", "1", "--json"]
    assert main([*davis, "--sequence", truth.name, *args, str(tmp_path / "set.json")]) == 0
    one = [str(tmp_path / "results" / truth.name), "--annotations", str(truth)]
    assert main([*one, *args, str(tmp_path / "one.json")]) == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "set.json").read_bytes()


@pytest.mark.parametrize(("folder", "typed", "name"), [
    (".", "part", "part"), (".", "../one/part", "../one/part"), ("part", ".", "{root}/one/part"),
])  # fmt: skip
def test_error_names_results_as_they_were_typed(truth, tmp_path, monkeypatch, run_expecting_error, folder, typed, name):
    shutil.copytree(truth, tmp_path / "one" / "part")
    (tmp_path / "one" / "part" / "00001.png").unlink()
    monkeypatch.chdir(tmp_path / "one" / folder)
    line = run_expecting_error(main, typed, "--annotations", truth)
    assert line.startswith(f"error: {name.format(root=tmp_path)}/00001.png: no such file")


def test_tracked_video_has_the_name_of_its_folder(truth, tmp_path, capsys):
    for path in truth.iterdir():  # 16-bit masks
        write_mask(path, read_mask(path).astype(np.int32) * 300)
    shutil.copytree(truth, tmp_path / "rabbit" / "masks")
    lost = tmp_path / "rabbit" / "masks" / "00002.png"
    write_mask(lost, np.where(read_mask(lost) == 600, 0, read_mask(lost)))
    write_tracked(tmp_path / "rabbit")
    files = ["--json", str(tmp_path / "one.json"), "--draw-worst", str(tmp_path / "worst")]
    line = [str(tmp_path / "rabbit"), "--annotations", str(truth), "--worst", "1", *files]
    assert main([*line, "--workers", "1"]) == 0
    assert list(json.loads((tmp_path / "one.json").read_text())["sequences"]) == ["rabbit"]
    assert (tmp_path / "worst" / "01_rabbit_600_00002.jpg").exists()
    table, worst = capsys.readouterr().out.split("worst frames in J&F:\n")
    assert "rabbit" in table
    assert worst.split()[2:4] == ["rabbit", "600"]


def test_frames_beside_annotations_are_ignored(truth, tmp_path):
    results, beside = tmp_path / "part", tmp_path / "beside"
    shutil.copytree(truth, results / "masks")
    write_tracked(results)
    for folder in (truth, tmp_path / "root" / "JPEGImages" / "480p" / truth.name):
        shutil.copytree(folder, beside, dirs_exist_ok=True)
    (results / "masks" / max(truth.iterdir()).name).unlink()
    assert main([str(results), "--annotations", str(beside), "--workers", "1"]) == 0


def test_single_annotation_rejected(truth, tmp_path, run_expecting_error):
    for path in sorted(truth.iterdir())[1:]:
        path.unlink()
    line = run_expecting_error(main, tmp_path / "results" / truth.name, "--annotations", truth)
    assert f"{truth.name}: no annotated frame between the first and the last" in line
    assert line.count(truth.name) == 1


@pytest.mark.parametrize(
    "line", ["--split x", "--root x", "--sequence x", "--new-objects", "--dataset davis2017 --root x"]
)
def test_option_of_benchmarks_beside_annotations_rejected(tmp_path, run_expecting_error, line):
    message = run_expecting_error(main, tmp_path, "--annotations", tmp_path, *line.split())
    assert "--annotations: scores one video; give its results as RESULTS, without --dataset" in message
