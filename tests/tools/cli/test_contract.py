"""Contract of all command lines: help, exit codes, invalid options, --force, bugs."""

import re
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from click import Context

from aotlab.configs.files import ROOT
from aotlab.media.masks import write_mask
from aotlab.tools.cli.command import EXIT_CODES, PACKAGES, command
from aotlab.tools.main import COMMANDS, main
from aotlab.utils.errors import InputError, RunStopped, is_out_of_memory
from aotlab_testing.processes import run_python


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - PACKAGES))
def test_list_of_commands_has_their_help(name):
    assert main.get_command(Context(main), name).help == COMMANDS[name]


@pytest.mark.parametrize("name", ["eval", "train", "table"])
def test_device_of_every_command_is_auto(name):
    options = {option.name: option for option in main.get_command(Context(main), name).params}
    assert options["device"].default == "auto"


@pytest.mark.parametrize(("error", "status"), [
    (None, 0),
    (RunStopped("full"), 1),
    (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 1),
    (OSError(12, "Cannot allocate memory"), 1),
    (MemoryError("Unable to allocate 10 TiB"), 1),
    (torch.OutOfMemoryError("Allocation on device 0"), 1),
    (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), 1),
    (InputError("x: bad"), 2),
    (KeyboardInterrupt(), 130),
], ids=lambda value: str(value) if isinstance(value, int) else type(value).__name__)  # fmt: skip
def test_exit_codes_are_the_documented_ones(error, status, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    @command("example", "")
    def run():
        return Mock(side_effect=error, return_value=0)()

    assert run([]) == status
    message = capsys.readouterr().err
    assert message.count("\n") == (status != 0)
    full = status == 1 and not isinstance(error, RunStopped)
    assert (
        "out of memory; close other programs or, if the command takes settings, make frames smaller" in message
    ) == full
    code = str(status) if status < 128 else "128 + n"
    page = (ROOT / "docs" / "reference" / "exit_codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d[^|]*) \| ([^|]+) \|$", page, re.MULTILINE)
    assert [row[0] for row in rows] == list(EXIT_CODES)
    assert dict(rows)[code].startswith(EXIT_CODES[code])


@pytest.mark.parametrize("line", [
    ["score", "a", "--annotations", "b", "--json", "there.json"],
    ["submit", "--dataset", "davis2017", "--root", ".", "--results", "a", "--output", "there.zip"],
    ["submit", "--dataset", "visor", "--root", ".", "--results", "a", "--output", "there.zip"],
], ids=" ".join)  # fmt: skip
def test_results_are_not_overwritten_without_force(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("there.json", "there.csv", "there.zip", "there/a/0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    for name in ("a", "b"):
        write_mask(tmp_path / name / "s" / "00000.png", np.ones((4, 4), np.uint8))
    assert main(line) == 2
    assert re.search(r"there\S*: already contains .*replace it with --force", capsys.readouterr().err)
    assert {path.read_bytes() for path in tmp_path.glob("there.*")} == {b"mine"}
    film = tmp_path / "film.mp4"
    film.write_bytes(b"mine")
    assert main([*line[:-1], "film.mp4", "--force"]) == 2  # a file of another kind
    assert re.search("film.mp4(: unsupported extension|' is a file)", capsys.readouterr().err)
    assert film.read_bytes() == b"mine"


EXPORT = "export --config aott --size 49x33 model.stages.0.window=7 --output out"


@pytest.mark.parametrize(("line", "words"), [
    ("check-data nowhere", "Folder 'nowhere' does not exist"),
    ("submit --dataset folder --results . --output a.zip", "--dataset: results of folder are not submitted"),
    ("submit --dataset DAVIS2017 --results .", "Missing option '--output'"),
    ("submit --dataset davis2017 --output a.zip", "Missing option '--results'"),
    ("table aot_davis207", "error: aot_davis207: no such file; did you mean aot_davis2017?"),
    ("table nope", "error: nope: no such file; the tables are aot_ablation, aot_davis2016,"),
    ("eval --dataset davis2017", "or give its folder as --root, or the folder above as AOTLAB_DATA"),
    ("table aot_davis", "error: aot_davis: no such file; did you mean aot_davis2016?"),
    ("table r50_aot", "error: r50_aot: no such file; did you mean r50_aotl?"),
    ("ensemble 0 1 2 --output out --weights 1,2", "--weights: 2 weights for 3 folders; give one for each"),
    ("ensemble 0 1 2 --output out --weights 1,2,x", "--weights: must be 0.001 to 1000000, got x"),
    *(
        (f"ensemble 0 1 2 --output out --weights 1,2,{weight}", "0.001 to 1000000")
        for weight in ("0", "-1", "1/3", "nan", "inf", "1e400")
    ),
    *((f"ensemble 0 1 2 --output {folder}", "choose another folder") for folder in ("1", "1/voted")),
    ("ensemble 0 1 2 empty --output out", "empty: no results here"),
    ("export --config aott --size 49x33 model.stages.0.window=7", "--output: missing"),
    (f"{EXPORT} memory.policy=ermu", "use memory.policy=bounded_fifo memory.frames=4"),
    ("export --output out --checkpoint none.safetensors", "none.safetensors: no such checkpoint"),
    (f"{EXPORT} --precision int8", "--precision int8: needs --calibrate FRAMES MASKS"),
    (f"{EXPORT} --quantize-encoder", "--quantize-encoder: only with --precision int8"),
    (f"{EXPORT} --max-loss 2", "--max-loss: only with --verify"),
    (f"{EXPORT} --provider cpu", "--provider: only with --verify"),
    (f"{EXPORT} --calibrate . .", "--calibrate: only with --precision int8 or --verify"),
    (f"{EXPORT} --precision int8 --calibrate no .", "'no' does not exist"),
])  # fmt: skip
def test_invalid_line_rejected(line, words, tmp_path, monkeypatch, run_expecting_error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for folder in ("0", "1", "2"):
        write_mask(tmp_path / folder / "a" / "00000.png", np.ones((4, 6), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    assert words in run_expecting_error(main, *line.split())
    assert sorted(tmp_path.rglob("*")) == before


def test_bug_is_raised():
    @command("example", "")
    def main():
        return {}["key"]

    with pytest.raises(KeyError):
        main([])


LIMITED = """
import resource, torch
torch.zeros(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))
from aotlab.utils.errors import is_out_of_memory
try:
    torch.zeros(2**30)
except Exception as error:
    print(is_out_of_memory(error), type(error).__name__)
"""


@pytest.mark.slow  # PyTorch resolves the symbols of its stack
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of memory need Linux")
def test_failed_allocation_is_too_little_memory():
    done = run_python("-c", LIMITED)
    assert done.stdout.startswith("True"), done.stdout + done.stderr
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
