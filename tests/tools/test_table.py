"""The ``table`` command: files of the papers' tables, and the commands that it would run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from aotlab.benchmark.paper_tables import list_missing, load_table, name_results, replace_root, select_weights
from aotlab.configs.files import BUNDLED_CHECKPOINT, ROOT
from aotlab.configs.load import load_config
from aotlab.dataloaders.archives import Archive, download_dataset
from aotlab.engine.training.build import resolve_training
from aotlab.evaluation.benchmarks import BUILT_IN, find_benchmark
from aotlab.evaluation.benchmarks.davis import DAVIS2017
from aotlab.networks.build import build_model
from aotlab.tools import eval as evaluation
from aotlab.tools import table as tool
from aotlab.tools.cli.types import TrackerName
from aotlab.utils.errors import InputError
from aotlab.utils.files import sha256
from aotlab.utils.text import format_bytes
from aotlab_testing.drawn_clips import draw_moving_clip, write_davis
from aotlab_testing.marks import needs_posix
from aotlab_testing.small_model import to_published
from tests.documents import check_command, split_blocks, split_words

TABLES = sorted((ROOT / "configs" / "tables").glob("*.yaml"))
SMALL = """
title: Two models
columns: {J&F: J&F, J: J}
sources: {paper: the paper}
benchmarks:
  here: {dataset: folder, root: DATA, options: [--new-objects]}
  hidden: {dataset: mose, root: DATA}
models:
  A: {checkpoints: [a.safetensors], configs: [aott]}
  B: {checkpoints: [FILE, FILE], options: [--scales, "1.0,1.3"]}
get: the shop
rows:
  - {model: A, benchmark: here, paper: [80.0, null]}
  - {model: B, benchmark: here, paper: [81.0, 79.5]}
  - {model: B, benchmark: hidden, paper: [50.0, 49.0]}
"""


def test_documented_table_is_read(tmp_path):
    ((_, _, text),) = split_blocks(ROOT / "docs" / "howto" / "reproduce.md", "yaml")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    table = load_table(tmp_path / "mine.yaml")
    assert [row.model for row in table.rows] == list(table.models)


@pytest.fixture
def small(tmp_path):
    """A table whose model A is missing."""
    (tmp_path / "data").mkdir()
    (tmp_path / "b.safetensors").write_bytes(b"")
    path = tmp_path / "small.yaml"
    text = SMALL.replace("DATA", str(tmp_path / "data"))
    path.write_text(text.replace("FILE", str(tmp_path / "b.safetensors")))
    return path


@pytest.fixture
def fake_commands(monkeypatch):
    """The commands that would run, each of which leaves scores."""
    calls: list[list[str]] = []

    def run(line, **_):
        calls.append(line[3:])
        output = Path(line[line.index("--output") + 1])
        if output.suffix != ".zip":
            output.mkdir(parents=True)
            (output / "scores.json").write_text(json.dumps({"J&F": 70.25, "J": None, "fps": 5.0}))
        return SimpleNamespace(returncode=1 if "broken" in line else 0)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_rows_run_eval_and_submit_and_are_shown(small, fake_commands, tmp_path, capsys):
    assert tool.main([str(small), "--output", str(tmp_path / "out"), "--device", "cuda"]) == 1
    lines = [re.sub(" +", " ", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[2:9] == [
        "A here missing", "A here paper 80.0 -",
        "B here measured 70.2 -", "B here paper 81.0 79.5", "B here difference -10.8",
        f"B hidden server: {tmp_path}/out/small/B_hidden.zip", "B hidden paper 50.0 49.0",
    ]  # fmt: skip
    assert "- pretrain_models/a.safetensors: the shop" in lines
    assert "| B | here | measured | 70.2 | - |" in (tmp_path / "out" / "small.md").read_text()
    assert [call[0] for call in fake_commands] == ["eval", "eval", "submit"]
    first = fake_commands[0]
    assert first[first.index("--scales") + 1] == "1.0,1.3"
    assert sum(argument.startswith("--checkpoint=") for argument in first) == 2
    assert first[first.index("--device") + 1] == "cuda"
    assert "--new-objects" in first
    assert "--force" not in first


@pytest.mark.parametrize(("tolerance", "status"), [(0.2, 1), (1.5, 0)])
def test_scores_outside_the_tolerance_fail(fake_commands, tmp_path, monkeypatch, capsys, tolerance, status):
    monkeypatch.setattr("aotlab.benchmark.paper_tables.find_published_file", lambda file: tmp_path / file)
    (tmp_path / "x.pth").touch()
    table = {
        "title": "One model",
        "columns": {"J&F": "J&F", "J": "J", "FPS": "fps"},
        "sources": {"paper": "the paper", "zoo": "the files used here"},
        "benchmarks": {"val": {"dataset": "mose", "root": str(tmp_path), "split": "train"}},
        "models": {"A": {"checkpoints": ["x.pth"]}},
        "rows": [{"model": "A", "benchmark": "val", "paper": [50.0, 1.0, 1.0], "zoo": [71.5, 60.0, 100.0]}],
    }
    (tmp_path / "one.yaml").write_text(json.dumps(table))
    line = [str(tmp_path / "one.yaml"), "--output", str(tmp_path / "out"), "--tolerance", str(tolerance)]
    assert tool.main(line) == status
    found = capsys.readouterr()
    sentence = "error: A, val: differs by -1.25 / - / - points, more than 0.2\n"
    assert found.err.endswith(sentence) == bool(status)
    assert re.search(r"difference +-1\.2$", found.out, re.M)


def test_results_of_different_models_are_kept_apart(fake_commands, tmp_path):
    weights = tmp_path / "a.safetensors"
    weights.write_bytes(b"")
    models = {
        name: {"checkpoints": [str(weights)], "options": ["--scales", str(number)]}
        for number, name in enumerate(["AOT 1.0", "AOT 1.5", "模型甲", "模型乙"], start=1)
    }
    table = {
        "title": "Four models",
        "columns": {"J": "J"},
        "benchmarks": {"val": {"dataset": "mose", "root": str(tmp_path)}},
        "models": models,
        "rows": [{"model": name, "benchmark": "val"} for name in models],
    }
    (tmp_path / "table.v2.yaml").write_text(json.dumps(table), encoding="utf-8")
    assert tool.main([str(tmp_path / "table.v2.yaml"), "--output", str(tmp_path / "out")]) == 0
    places = [call[call.index("--output") + 1] for call in fake_commands]
    assert len(places) == len(set(places)) == 8
    assert (tmp_path / "out" / "table.v2.md").is_file()


def test_failed_command_fails_only_its_row(small, fake_commands, tmp_path, capsys):
    small.write_text(small.read_text().replace("--new-objects", "broken"))
    assert tool.main([str(small), "--output", str(tmp_path / "out")]) == 1
    text = capsys.readouterr().out
    assert "failed: exit code 1" in text
    assert "server: " in text


def test_forced_table_replaces_other_results(small, fake_commands, tmp_path):
    tool.main([str(small), "--output", str(tmp_path / "out"), "--force"])
    assert ["--force" in call for call in fake_commands] == [True] * 3


@pytest.mark.parametrize("status", [-9, 139])
def test_crash_fails_only_its_row(small, monkeypatch, tmp_path, capsys, status):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=status))
    assert tool.main([str(small), "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out.count(f"failed: exit code {status}") == 2


@pytest.mark.parametrize("status", [-2, 130])
def test_table_ends_like_an_interrupted_command(small, monkeypatch, tmp_path, status):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=status))
    assert tool.main([str(small), "--output", str(tmp_path / "out")]) == 130


def test_tables_find_weights_stored_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("AOTLAB_HOME", str(tmp_path))
    monkeypatch.setattr("aotlab.networks.weights.zoo.PRETRAINED_FOLDER", tmp_path)
    stored = tmp_path / "weights" / "aott.safetensors"
    stored.parent.mkdir()
    stored.write_bytes(b"")
    assert load_table("aot_davis2017").models["AOT-T"].files == [stored]


def test_missing_published_file_names_its_download(tmp_path, monkeypatch):
    monkeypatch.setenv("AOTLAB_HOME", str(tmp_path))
    monkeypatch.setattr("aotlab.networks.weights.zoo.PRETRAINED_FOLDER", tmp_path)
    table = load_table("aot_davis2017")
    assert (
        f"{tmp_path}/AOTT_PRE_YTB_DAV.pth: about 22.8 MB with aotlab weights get aott, or "
        in list_missing(table, table.rows[0])[-1]
    )


@pytest.mark.parametrize("name", [path.stem for path in TABLES])
def test_tables_print_commands_that_train_their_models(name):
    table = load_table(name)
    missing = dict(line.split(": ", 1) for row in table.rows for line in list_missing(table, row))
    for model in table.models.values():
        for file in filter(lambda file: file.startswith("outputs/"), model.checkpoints):
            ((program, *words),) = split_words(missing[file])
            check_command([program, *words])
            settings = [word for word in words if "=" in word]
            recipe = load_config(words[words.index("--config") + 1], settings)
            trained = resolve_training(recipe).train
            assert {file} == {f"{trained.output}/{[*trained.phases][-1].name}.safetensors"}
            assert recipe.name in file or "ablations" in file


def test_printed_commands_are_quoted(small, fake_commands, tmp_path, capsys):
    small.write_text(small.read_text().replace('"1.0,1.3"', '"memory.x=[1, 2]"'))
    tool.main([str(small), "--output", str(tmp_path / "my tables")])
    commands = [line for line in capsys.readouterr().err.splitlines() if line.startswith("$ ")]
    assert [shlex.split(line)[4:] for line in commands] == fake_commands[: len(commands)]


def test_checkpoints_may_have_names_of_weights(small, monkeypatch, tmp_path):
    monkeypatch.setattr("aotlab.benchmark.paper_tables.find_published_file", lambda file: tmp_path / file)
    small.write_text(small.read_text().replace("[a.safetensors]", "[bundled, aott]"))
    assert load_table(small).models["A"].files == [BUNDLED_CHECKPOINT, tmp_path / "AOTT_PRE_YTB_DAV.pth"]


def test_missing_file_without_a_source_is_listed(small):
    small.write_text(small.read_text().replace("get: the shop\n", ""))
    table = load_table(small)
    (line,) = list_missing(table, table.rows[0])
    assert line == "pretrain_models/a.safetensors: no such file"


@pytest.mark.parametrize(("old", "new", "message"), [
    ("columns:", "colums:", "unknown key colums"),
    ("J: J}", "J: zz}", "small.yaml: column zz: not one of J&F, J, J-Recall, "),
    ("{model: A,", "{model: C,", "model C: not one of A, B"),
    ("[80.0, null]", "[80.0]", "A, here, paper: 1 figures"),
    ("dataset: folder", "dataset: holder", "did you mean folder?"),
    ("title:", "  title:", "not readable as YAML"),
    ("rows:", "rows:\n  - 1", "small.yaml: rows.0 must be settings (key: value), got 1"),
    ("{model: A, benchmark: here,", "{model: A,", "small.yaml: rows.0.benchmark is missing"),
    ("[80.0, null]", "80.0", "small.yaml: rows.0.paper must be a list, got 80.0"),
])  # fmt: skip
def test_table_with_a_mistake_rejected(small, tmp_path, run_expecting_error, old, new, message):
    small.write_text(small.read_text().replace(old, new, 1))
    assert message in run_expecting_error(tool.main, small, "--output", tmp_path / "out")


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_table_commands_parse(path, monkeypatch):
    monkeypatch.setattr(TrackerName, "read", Path)  # not downloaded
    table = load_table(path)
    folders = [name_results(*pair).casefold() for pair in product(table.models, table.benchmarks)]
    assert len({*folders}) == len(folders)  # also where letter case does not count
    for config in {config for model in table.models.values() for config in model.configs}:
        load_config(config)
    for row in table.rows:
        model, benchmark = table.models[row.model], table.benchmarks[row.benchmark]
        options = [*benchmark.arguments, *benchmark.options, *model.arguments]
        evaluation.main.make_context("aotlab eval", [*options, "--output", "results"])
        for line in list_missing(table, row):
            assert len(line.split(": ", 1)[1]) > 20, f"{line}: does not say where to get it"
    assert f"`{path.stem}`" in (ROOT / "docs" / "howto" / "reproduce.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("environment", "base"), [({}, "datasets"), ({"AOTLAB_DATA": "/data"}, "/data"), ({"AOTLAB_DATA": ""}, "datasets")]
)
def test_default_roots_follow_the_environment(monkeypatch, environment, base):
    monkeypatch.setattr("os.environ", environment)
    for benchmark in map(find_benchmark, BUILT_IN):
        if benchmark.folder is not None:
            assert benchmark.find_root() == Path(base) / benchmark.folder


def test_help_names_the_folder_of_data_sets(capsys):
    assert tool.main(["--help"]) == 0
    assert "environment variable AOTLAB_DATA" in " ".join(capsys.readouterr().out.split())


def test_rows_of_published_weights_are_selected():
    table = select_weights("r50_aotl", "davis2017")
    assert [(row.model, row.benchmark) for row in table.rows] == [("R50-AOT-L", "val")]
    assert table.rows[0].published["paper"] == [84.9, 82.3, 87.5, 18.0]
    assert table.name == "r50_aotl_davis2017"


@pytest.mark.parametrize(
    ("name", "dataset", "message"),
    [
        ("r50_aotl", "youtubevos2019", "can be measured; the masks of youtubevos2019 are not public; give"),
        ("r50_aotl", "vost", "no published figure on vost that can be measured; give --dataset davis2016 or davis2017"),
        ("deaott", "davis2017", "its figures are on youtubevos2018, youtubevos2019, whose masks are not public"),
    ],
)
def test_weights_without_a_figure_to_measure_are_named(name, dataset, message, run_expecting_error):
    assert message in run_expecting_error(tool.main, name, "--dataset", dataset)


def test_published_weights_are_measured_on_given_data(fake_commands, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("aotlab.benchmark.paper_tables.find_published_file", lambda file: tmp_path / file)
    monkeypatch.setattr(tool, "download_weights", lambda name: (tmp_path / "AOTT_PRE_YTB_DAV.pth").touch())
    assert tool.main(["aott", "--root", str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    assert re.search(r"AOT-T +val +measured +70\.2 +- +- +5\.0\nAOT-T +val +paper +79\.9", capsys.readouterr().out)
    ((*_, options),) = [fake_commands]
    assert options[options.index("--root") + 1] == str(tmp_path)


def test_data_set_of_a_table_rejected(run_expecting_error):
    line = run_expecting_error(tool.main, "aot_davis2017", "--dataset", "davis2016")
    assert "--dataset: applies to a name in `aotlab weights`; remove it" in line


def test_weights_without_data_are_not_downloaded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "download_weights", lambda name: pytest.fail(f"downloads {name}"))
    assert tool.main(["aott", "--root", str(tmp_path / "none"), "--output", str(tmp_path / "out")]) == 1
    assert f"- {tmp_path}/none: davis2017, 833 MB with --download, or from https://" in capsys.readouterr().out


def test_archive_is_downloaded_to_its_own_folder_only(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folders: list[Path] = []
    monkeypatch.setattr("aotlab.dataloaders.archives.download_dataset", lambda _, folder: folders.append(folder))
    assert tool.main(["bundled", "--download"]) == 1
    assert folders == [Path("datasets/DAVIS")]
    assert "- datasets/sample: no such folder" in capsys.readouterr().out


def test_given_root_keeps_the_archive(tmp_path):
    table = replace_root(load_table("bundled"), tmp_path)
    found = {name: benchmark.find_archive() for name, benchmark in table.benchmarks.items()}
    assert found == {"pond": None, "DAVIS 2017 val": DAVIS2017.archive, "DAVIS 2016 val": None}


def test_root_in_a_table_can_name_the_archive(small):
    small.write_text(small.read_text().replace("dataset: folder,", "dataset: davis2017, archive: true,"))
    assert load_table(small).benchmarks["here"].find_archive() == DAVIS2017.archive


def test_archive_of_other_splits_is_not_promised(tmp_path, monkeypatch):
    monkeypatch.setenv("AOTLAB_DATA", str(tmp_path))
    table = load_table("aot_davis2017")
    row = next(row for row in table.rows if row.benchmark == "test-dev")
    assert list_missing(table, row)[0].startswith(f"{tmp_path}/DAVIS: davis2017, from https://davischallenge.org; ")


def test_root_of_a_table_of_several_data_sets_rejected(run_expecting_error, tmp_path):
    line = run_expecting_error(tool.main, "aot_youtubevos", "--root", tmp_path)
    assert "--root: the table has youtubevos2018, youtubevos2019, which are not in one folder; set AOTLAB_DATA" in line


@pytest.mark.parametrize("name", ["deaot_davis", "bundled"])
def test_data_sets_of_one_folder_share_a_root(name, tmp_path):
    before = load_table(name)
    after = replace_root(before, tmp_path)
    for row in before.rows:
        root = before.benchmarks[row.benchmark].root
        assert after.benchmarks[row.benchmark].root == (root or str(tmp_path))


@pytest.fixture
def davis_archive(tmp_path, file_server, monkeypatch):
    """A small DAVIS in the place of the published archive, on a local server."""
    write_davis(tmp_path / "DAVIS", {"bear": draw_moving_clip(["00000", "00001", "00002"])}, "2017", "val")
    archive = Path(shutil.make_archive(str(tmp_path / "davis"), "zip", tmp_path, "DAVIS"))
    shutil.rmtree(tmp_path / "DAVIS")
    published = Archive(f"{file_server.url}/davis.zip", archive.stat().st_size, sha256(archive), frames={"val": 3})
    monkeypatch.setattr(DAVIS2017, "archive", published)
    return published


def test_dry_run_lists_downloads_and_time(davis_archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("aotlab.networks.weights.zoo.PRETRAINED_FOLDER", tmp_path)
    monkeypatch.setattr("aotlab.benchmark.dry_run.FRAMES", 1)
    assert tool.main(["aott", "--root", str(tmp_path / "DAVIS"), "--dry-run"]) == 0
    missing, data, weights, row = capsys.readouterr().out.splitlines()
    size = format_bytes(davis_archive.size)
    assert missing == "missing:"
    assert data.startswith(
        f"- {tmp_path}/DAVIS: davis2017, {size} with --download, or from https://davischallenge.org;"
    )
    assert weights.startswith(f"- {tmp_path}/AOTT_PRE_YTB_DAV.pth: about 22.8 MB with aotlab weights get aott, or from")
    assert re.fullmatch(r"AOT-T, val: 3 frames, \d+\.\d\d s each on this machine: 0 minutes", row)
    assert not (tmp_path / "results").exists()


def test_archive_of_a_data_set_is_resumed_and_checked(davis_archive, file_server, tmp_path):
    folder = tmp_path / "data" / "DAVIS"
    file_server.truncates = True
    with pytest.raises(InputError, match="the same command resumes"):
        download_dataset(davis_archive, folder)
    file_server.truncates = False
    download_dataset(davis_archive, folder)
    assert [video.name for video in find_benchmark("davis2017").open_videos(folder)] == ["bear"]
    assert [path.name for path in folder.parent.iterdir()] == ["DAVIS"]
    with pytest.raises(InputError, match="expected 00"):
        download_dataset(replace(davis_archive, digest="00"), tmp_path / "other" / "DAVIS")
    assert [*(tmp_path / "other").iterdir()] == []


STAND_INS = """
from aotlab.dataloaders.archives import Archive
from aotlab.evaluation.benchmarks.davis import DAVIS2017
DAVIS2017.archive = Archive(URL, SIZE, DIGEST, frames={"val": 3})
"""
"""Lines that every Python of the workflow runs first."""


@needs_posix
def test_workflow_measures_a_checkpoint(davis_archive, file_server, tmp_path):
    """The steps of the workflow in a checkout that is installed, with downloads from a local server."""
    checkout, programs = tmp_path / "checkout", tmp_path / "checkout" / ".venv" / "bin"
    programs.mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name not in (".venv", "datasets"):
            (checkout / path.name).symlink_to(path)
    (checkout / "datasets").mkdir()
    skip_pip = 'case "$*" in *"pip install"*) exit;; esac'
    for program, module in (("python", ""), ("aotlab", "-m aotlab ")):
        (programs / program).write_text(f'#!/bin/sh\n{skip_pip}\nexec "{sys.executable}" {module}"$@"\n')
        (programs / program).chmod(0o755)
    torch.manual_seed(0)
    torch.save({"state_dict": to_published(build_model(load_config("aott").model))}, tmp_path / "aott.pth")
    values = {"URL": davis_archive.address, "SIZE": davis_archive.size, "DIGEST": davis_archive.digest}
    lines = re.sub("URL|SIZE|DIGEST", lambda match: repr(values[match[0]]), STAND_INS)
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(lines)
    variables = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path / 'hooks'}:{ROOT / 'src'}",
        "AOTLAB_HOME": str(tmp_path / "home"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "MODEL": "aott",
        "WEIGHTS": f"{file_server.url}/aott.pth",
    }
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "reproduce.yml").read_text())
    steps = {step["name"]: step["run"] for step in workflow["jobs"]["table"]["steps"] if "run" in step}
    done = {}
    for name, text in steps.items():
        line = ["bash", "-e", "-o", "pipefail", "-c", text]
        done[name] = subprocess.run(line, cwd=checkout, env=variables, capture_output=True, text=True, check=False)
        print(f"## {name}\n$ {text}\n{done[name].stdout}{done[name].stderr}exit code {done[name].returncode}")
    codes = {name: result.returncode for name, result in done.items()}
    # random weights are far from the published scores
    assert codes == {"What is missing": 0, "The checkpoint from another address": 0, "Scores": 1, "Summary": 0}
    assert done["What is missing"].stdout.startswith("missing:\n- datasets/DAVIS: davis2017, ")
    files = {"authors_aott" in path.parts: path for path in (checkout / "results").rglob("scores.json")}
    ours = json.loads(files[False].read_text())
    if find_spec("aot"):  # rounding may move a pixel
        assert json.loads(files[True].read_text())["J&F"] == pytest.approx(ours["J&F"], abs=0.1)
    figures = f"{ours['J&F']:.1f} | {ours['J']:.1f} | {ours['F']:.1f} | {ours['fps']:.1f}"
    differences = f"{ours['J&F'] - 79.2:+.1f} | {ours['J'] - 76.5:+.1f} | {ours['F'] - 81.9:+.1f} | "
    assert re.findall(r"(?m)^\| AOT-T \| val \| (.*) \|$", (tmp_path / "summary.md").read_text()) == [
        f"measured | {figures}", "paper | 79.9 | 77.4 | 82.3 | 51.4", "zoo | 79.2 | 76.5 | 81.9 | 51.4",
        f"difference | {differences}",
    ]  # fmt: skip
    assert "error: AOT-T, val: differs by " in done["Scores"].stderr
