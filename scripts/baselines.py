"""Baselines of a version: masks, outputs and scores of its commands, their help, and the public names.

python scripts/baselines.py write FILE [PART...]      # before a change that must keep them
python scripts/baselines.py compare FILE [PART...]    # after it: a line for each difference, and exit code 1

All parts take about 5 minutes on 2 cores. Masks are equal only on the same kind of processor and with the same
libraries, so FILE names them. Do not commit it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import inspect
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "datasets" / "sample"
RABBIT, POND = SAMPLE / "rabbit.mp4", SAMPLE / "JPEGImages" / "480p" / "pond"
DAVIS = ROOT.parent / "shared" / "data" / "DAVIS"
STORED = ROOT / "packages" / "testing" / "stored" / "0.3.0.zip"
"""Files of a version; in its folder ``list``, a person has corrected the masks of two videos."""
BOX, NEGATIVE_POINT = "150,2,310,410", "170,230"
"""Prompts of the rabbit in the documents."""
PACKAGES = (
    "aotlab",
    "aotlab.sdk",
    "aotlab_video",
    "aotlab_runtime",
    "aotlab_trackers",
    "aotlab_compositing",
    "aotlab_studio",
)
"""Modules with public names; those that cannot be imported have none."""
THREADS = "2"
Baselines = dict[str, Any]


def run_aotlab(folder: Path, *words: object, **variables: str) -> str:
    """Run a command in a folder; return its output, and exit with its messages if it fails."""
    environment = {
        **os.environ,
        "COLUMNS": "100",
        "OMP_NUM_THREADS": THREADS,
        "AOTLAB_HOME": f"{folder}/home",
        **variables,
    }
    command = [sys.executable, "-m", "aotlab", *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[2:])}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def digest_files(folder: Path, pattern: str = "*") -> Iterator[tuple[str, str]]:
    """Yield path and MD5 of the files in a folder, without hidden ones, records and the state of the tracker."""
    for path in sorted(folder.rglob(pattern)):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not re.search(
            r"(^|/)(\.|results\.json$|export\.json$|summary\.csv$|state\.pt$|.*\.aotlab/)", name
        ):
            yield name, digest(path.read_bytes())


def list_commands(folder: Path) -> list[str]:
    """Return the names of all commands, as shells complete them."""
    completion = {"_AOTLAB_COMPLETE": "bash_complete", "COMP_WORDS": "aotlab ", "COMP_CWORD": "1"}
    return [line.split(",")[1] for line in run_aotlab(folder, **completion).splitlines()]


def record_help(folder: Path) -> Baselines:
    """Return the help of ``aotlab`` and of all commands, as lines."""
    lines = {"aotlab": run_aotlab(folder, "--help").splitlines()}
    for name in list_commands(folder):
        lines[f"aotlab {name}"] = run_aotlab(folder, name, "--help").splitlines()
    return lines


class PlainText(str):
    """Text that signatures show without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def format_type(annotation: Any) -> Any:
    """Return a type as text, which is the same whether its module evaluates it or not."""
    if annotation is inspect.Signature.empty:
        return annotation
    return PlainText(annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))


def strip_modules(text: str) -> str:
    """Return text without the modules of types, which may move, addresses, and the path of the checkout."""
    text = re.sub(r"ForwardRef\('([^']*)'\)", r"\1", text.replace(f"{ROOT}{os.sep}", ""))
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])| at 0x[0-9a-f]+", "", text)


def format_signature(function: Callable[..., Any]) -> str:
    """Return the signature of a function or class."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return "(...)"
    parameters = [item.replace(annotation=format_type(item.annotation)) for item in signature.parameters.values()]
    result = format_type(signature.return_annotation)
    return strip_modules(str(signature.replace(parameters=parameters, return_annotation=result)))


def describe_class(name: str, kind: type) -> Iterator[tuple[str, str]]:
    """Yield a class with its bases and arguments, and its public members, also inherited ones of this project."""
    bases = ", ".join(base.__name__ for base in kind.__bases__)
    yield name, f"class({bases}) {format_signature(kind)}"
    own = [base for base in kind.__mro__ if base.__module__.startswith("aotlab")]
    members = {key: value for base in reversed(own) for key, value in vars(base).items() if not key.startswith("_")}
    for key, value in sorted(members.items()):
        if isinstance(value, property):
            text = f"property {format_signature(value.fget).partition(' -> ')[2]}" if value.fget else "property"
        elif isinstance(value, staticmethod | classmethod):
            text = f"{type(value).__name__} {format_signature(value.__func__)}"
        elif inspect.isfunction(value):
            text = f"method {format_signature(value)}"
        else:
            text = type(value).__name__
        yield f"{name}.{key}", text


def record_names(folder: Path) -> Baselines:
    """Return the public names of the packages with their kinds and signatures."""
    names: Baselines = {}
    for package in PACKAGES:
        try:
            module = importlib.import_module(package)
        except ImportError:
            continue
        for name in sorted(getattr(module, "__all__", ())):
            value, full = getattr(module, name), f"{package}.{name}"
            if inspect.isclass(value):
                names.update(describe_class(full, value))
            elif callable(value) and hasattr(value, "__name__"):
                names[full] = f"function {format_signature(value)}"
            else:
                names[full] = strip_modules(f"{type(value).__name__} {value}")
    return names


def record_masks(folder: Path) -> Baselines:
    """Return the masks of the rabbit from a mask and from a box, forward and in both directions."""
    prompts = "--box", BOX, "--negative-point", NEGATIVE_POINT
    middle = "--box", f"5={BOX}", "--negative-point", f"5={NEGATIVE_POINT}"
    run_aotlab(folder, "mask", RABBIT, "--frame", "5", *prompts, "--output", "middle.png")
    runs = {
        "mask": ("--mask", SAMPLE / "rabbit.png"),
        "box": prompts,
        "mask, both directions": ("--mask", "5=middle.png", "--both-directions"),
        "box, both directions": (*middle, "--both-directions"),
    }
    masks: Baselines = {"mask of frame 5": digest((folder / "middle.png").read_bytes())}
    for name, options in runs.items():
        run_aotlab(folder, "track", RABBIT, *options, "--end", 9, "--write", "masks", "--output", name)
        masks.update({f"{name}: {file}": md5 for file, md5 in digest_files(folder / name)})
    return masks


def record_list(folder: Path) -> Baselines:
    """Return the files of a list of three videos: a mask of one object, a mask of several, and a box."""
    masks = SAMPLE / "Annotations" / "480p" / "pond" / "00000.png"
    (folder / "clips.csv").write_text(
        "video,name,masks,boxes,classes,start,end\n"
        f"{RABBIT},rabbit,{SAMPLE / 'rabbit.png'},,rabbit,,4\n"
        f"{POND},pond,{masks},,,,5\n"
        f'{RABBIT},boxed,,"{BOX}",rabbit,40,44\n'
    )
    run_aotlab(folder, "track", "--jobs", "clips.csv", "--output", "batch", "--write", "masks,cvat,review")
    run_aotlab(folder, "convert", "batch", "set", "--to", "coco", "--merge", "--split", "0.5")
    return {f"{name}/{file}": md5 for name in ("batch", "set") for file, md5 in digest_files(folder / name)}


def list_outputs(folder: Path) -> list[str]:
    """Return the names of all outputs, of installed packages too."""
    return [line.split()[0] for line in run_aotlab(folder, "render", "--write", "help", ".").splitlines()]


def record_outputs(folder: Path) -> Baselines:
    """Return the files of every output that can be rendered, and of those with other options."""
    line = "track", RABBIT, "--mask", SAMPLE / "rabbit.png", "--class", "rabbit", "--end", 3
    run_aotlab(folder, *line, "--write", "soft", "--output", "run")
    names = list_outputs(folder)
    outputs: Baselines = {}
    for title, options in {
        "default": (),
        "options": ("--polygons", "--alpha", "premultiplied", "--no-plate", "--per-object"),
    }.items():
        run_aotlab(folder, "render", "run", "--write", ",".join(names), *options)
        outputs.update({f"{title}: {file}": md5 for file, md5 in digest_files(folder / "run")})
    return outputs


def record_studio(folder: Path) -> Baselines:
    """Return the files of results into which a person's corrections are exported."""
    shutil.unpack_archive(STORED, folder)
    run_aotlab(folder, "export-clips", "list/results", "--write", "masks,overlay,objects,cvat,yolo,exr,alpha")
    return dict(digest_files(folder / "list" / "results"))


def record_scores(folder: Path) -> Baselines:
    """Return the masks and scores of the bundled model on the lists of DAVIS 2016 and 2017."""
    scores: Baselines = {}
    for year in ("2016", "2017"):
        run_aotlab(folder, "eval", "--dataset", f"davis{year}", "--root", DAVIS, "--output", year)
        scores.update({f"{year}/{file}": md5 for file, md5 in digest_files(folder / year, "*.png")})
        table = json.loads((folder / year / "scores.json").read_text())
        for name in ("fps", "inputs", "provenance"):
            table.pop(name)
        scores[f"{year}/scores.json"] = table
    return scores


PARTS: dict[str, Callable[[Path], Baselines]] = {
    "names": record_names,
    "help": record_help,
    "masks": record_masks,
    "list": record_list,
    "outputs": record_outputs,
    "studio": record_studio,
    "scores": record_scores,
}


def describe_machine() -> dict[str, str]:
    """Return what masks depend on besides the code."""
    import av
    import torch

    text = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    name = re.search(r"^model name\s*: (.*)", text, re.MULTILINE)
    processor = name[1] if name else platform.processor()
    return {"processor": processor, "torch": torch.__version__, "av": av.__version__, "threads": THREADS}


def record(parts: list[str]) -> dict[str, Any]:
    """Return the machine, the version and the baselines of some parts."""
    import aotlab

    found: dict[str, Any] = {"machine": describe_machine(), "version": aotlab.__version__}
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            found[part] = PARTS[part](Path(folder))
        print(f"{part}: {len(found[part])} values", flush=True)
    return found


def describe_difference(before: Any, now: Any) -> str:
    """Return how two values differ; of lines, the first ones that do."""
    if isinstance(before, list) and isinstance(now, list):
        rows = max(len(before), len(now))
        first, second = ([*lines, *[""] * (rows - len(lines))] for lines in (before, now))
        row = next(row for row in range(rows) if first[row] != second[row])
        return f"line {row + 1}: {first[row].strip()!r} before, {second[row].strip()!r} now"
    return f"{before} before, {now} now"


def compare(before: dict[str, Any], now: dict[str, Any], parts: list[str]) -> list[str]:
    """Return a line for each difference."""
    differences = []
    for part in parts:
        first, second = before[part], now[part]
        for name in dict.fromkeys([*first, *second]):
            if first.get(name) != second.get(name):
                text = describe_difference(first.get(name), second.get(name))
                differences.append(f"{part}: {name}: {text}")
    return differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("write", "compare"))
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    options = parser.parse_args()
    if unknown := {*options.parts} - {*PARTS}:
        parser.error(f"{', '.join(sorted(unknown))}: no such part; give some of {', '.join(PARTS)}")
    before = json.loads(options.file.read_text()) if options.action == "compare" else PARTS
    parts = [part for part in PARTS if part in (options.parts or before)]
    if "scores" in parts and not DAVIS.is_dir():
        print(f"scores: left out, as {DAVIS} does not exist")
        parts.remove("scores")
    if missing := {*parts} - {*before}:
        parser.error(f"{options.file}: has no {', '.join(sorted(missing))}; write them with the earlier version")
    now = record(parts)
    if options.action == "write":
        options.file.write_text(json.dumps(now, indent=1, ensure_ascii=False))
        return 0
    differences = compare(before, now, parts)
    for line in differences:
        print(line)
    if before["machine"] != now["machine"]:
        print(f"the machines differ, so masks may: {describe_difference(before['machine'], now['machine'])}")
    print(f"differences from {before['version']}: {len(differences)}")
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
