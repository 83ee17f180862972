"""Nodes in Nuke for results of aotlab: a Read, the alpha of each object as a Copy, and a Cryptomatte.

In Nuke's script editor: import nuke_import; nuke_import.import_results("RESULTS")
"""

import json
import re
from pathlib import Path

import nuke

NUMBER = re.compile(r"((?<=[._])-|^-)?\d+$")
"""Number at the end of a name; after letters and digits, a minus is a hyphen."""


def import_results(folder):
    """Make nodes for a folder of results with ``exr``, and also with ``cryptomatte``; return those of objects by layer.

    Frames are the numbers in the names of the files. Raises `RuntimeError` if the folder cannot be used.
    """
    folder = Path(folder)
    record, names = _read_results(folder)
    if "exr" not in record["outputs"]:
        raise RuntimeError(f"{folder}: no exr; run aotlab render {folder} --write exr,cryptomatte")
    plate, objects = _read(folder, record["outputs"]["exr"][0], names), {}
    ids = {str(object_id) for object_id in record["objects"]}
    for layer in dict.fromkeys(channel.rpartition(".")[0] for channel in plate.channels()):
        number = re.search(r"[._](\d+)(_\d+)?$", layer)  # Nuke may replace the dot before the id
        alpha = next((channel for channel in plate.channels() if channel in (f"{layer}.alpha", f"{layer}.A")), None)
        if alpha and number and number[1] in ids:
            copy = nuke.nodes.Copy(inputs=[plate, plate], from0=alpha, to0="rgba.alpha", label=layer)
            objects[layer] = nuke.nodes.Premult(inputs=[copy], label=layer)
    if "cryptomatte" in record["outputs"]:
        mattes = _read(folder, record["outputs"]["cryptomatte"][0], names)
        mattes["raw"].setValue(True)
        nuke.nodes.Cryptomatte(inputs=[mattes])
    return objects


def _read_results(folder):
    """Return the record of a folder of results, and the names of its frames, which end in numbers."""
    try:
        record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        lines = (folder / "frames.jsonl").read_text(encoding="utf-8").splitlines()
        names = [json.loads(line)["name"] for line in lines]
        is_run = bool(names) and {"outputs", "objects"} <= record.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RuntimeError(f"{folder}: no results of aotlab ({error}); give the folder of a finished run") from None
    if not is_run:
        raise RuntimeError(f"{folder}: no tracked frame; give the folder of a finished run")
    for name in names:
        if NUMBER.search(name) is None:
            problem = f"frame {name} does not end in a number; rename the frames, and track them again"
            raise RuntimeError(f"{folder}: {problem}")
    return record, names


def _read(folder, pattern, names):
    """Return a Read of the files of an output."""
    numbers = [int(NUMBER.search(name)[0]) for name in names]
    digits = NUMBER.search(names[0])[0]
    file = (folder / pattern).as_posix().replace("{frame}", f"{names[0][: -len(digits)]}%0{len(digits)}d")
    read = nuke.nodes.Read(file=file, first=numbers[0], last=numbers[-1], origfirst=numbers[0], origlast=numbers[-1])
    read["on_error"].setValue("black")  # frames that were not tracked
    return read
