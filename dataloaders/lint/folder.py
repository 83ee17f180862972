"""Checks of a folder of training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from aotlab.dataloaders.lint.files import (
    Facts,
    Finding,
    check_frame,
    check_mask,
    check_size,
    error,
    size_of,
    warning,
)
from aotlab.dataloaders.lint.ids import check_images, check_video, count_objects
from aotlab.dataloaders.lint.names import LOOSE, Unit, check_names, list_unit
from aotlab.dataloaders.training.set_files import read_split, subfolders
from aotlab.dataloaders.training.video_sets import LEAST_FRAMES, VIDEO_FORMS
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_folder
from aotlab.utils.progress import progress_bar

Kind = Literal["video", "static"]
MOST_SIZES = 3
"""largest number of frame sizes in a video; single images have more"""
LEVELS = ("error", "warning", "info")


@dataclass
class LintResult:
    """Findings and amount of data."""

    findings: list[Finding]
    units: int = 0
    """number of videos or sets of single images"""
    frames: int = 0
    labelled: int = 0
    """number of frames with a mask"""
    objects: int | None = 0
    """number of ids per video or image, added up; None: masks were not decoded"""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """number of frames by (height, width)"""

    def add(
        self, findings: Iterable[Finding], frames: Iterable[Facts], *, labelled: int, objects: int
    ) -> None:
        """Add what was found in a video or set; its findings are grouped."""
        self.findings += gather(findings)
        sizes = [facts.size for facts in frames]
        self.frames += len(sizes)
        self.labelled += labelled
        self.sizes.update(size for size in sizes if size)
        if self.objects is not None:
            self.objects += objects

    def sorted(self) -> LintResult:
        """Return the result with its findings by level."""
        return replace(self, findings=sorted(self.findings, key=lambda finding: LEVELS.index(finding.level)))

    @property
    def errors(self) -> int:
        """Number of findings that are errors."""
        return sum(finding.level == "error" for finding in self.findings)


def lint_folder(
    root: Path, kind: Kind, *, decode: bool = True, workers: int = 2, progress: bool = False
) -> LintResult:
    """Check ``root/JPEGImages`` and ``root/Annotations``.

    Args:
        kind: video, or static for single images.
        decode: decode whole files; false: only their headers, which hold size and mode but no ids.

    Raises:
        InputError: no such folder.
    """
    if not is_folder(root):
        raise InputError(f"{root}: no such folder; give the folder that holds JPEGImages/ and Annotations/")
    forms = VIDEO_FORMS if kind == "video" else (("JPEGImages", "Annotations"),)
    pairs = ((root / image_form, root / mask_form) for image_form, mask_form in forms)
    found = next((pair for pair in pairs if is_folder(pair[0]) and is_folder(pair[1])), None)
    if found is None:
        return LintResult(list(_missing_folders(root, kind)))
    images, masks = found
    units, findings = _find_units(images, masks, kind)
    findings += _check_lists(root, images, {unit.name for unit in units}, kind)
    facts = _read_all(units, decode=decode, workers=workers, progress=progress)
    report = LintResult(findings, units=len(units), objects=0 if decode else None)
    for unit in units:
        frames = [facts[path] for path in unit.frames.values()]
        objects = count_objects(unit, facts, video=kind == "video")
        report.add(_check_unit(unit, facts, kind), frames, labelled=len(unit.labelled), objects=objects)
    usable = [unit for unit in units if len(unit.labelled) >= (LEAST_FRAMES if kind == "video" else 1)]
    if not usable:
        report.findings.append(error(root, f"nothing to train on; {_LAYOUT[kind]}"))
    return report.sorted()


_LAYOUT: Mapping[Kind, str] = {
    "video": "expected JPEGImages/<video>/00000.jpg and so on, with Annotations/<video>/00000.png of the same names, "
    f"{LEAST_FRAMES} masks per video or more",
    "static": "expected JPEGImages/<set>/x.jpg with Annotations/<set>/x.png of the same names",
}


def gather(findings: Iterable[Finding]) -> list[Finding]:
    """Group warnings and notes with the same message, one per folder; errors stay one per file."""
    groups: dict[tuple[str, Path | str, str], Finding] = {}
    for number, finding in enumerate(findings):
        group: Path | str = finding.file.parent if finding.level != "error" else str(number)
        key = (finding.level, group, finding.message)
        first = groups.get(key)
        groups[key] = finding if first is None else replace(first, others=first.others + 1)
    return list(groups.values())


def _check_unit(unit: Unit, facts: Mapping[Path, Facts], kind: Kind) -> Iterator[Finding]:
    yield from check_names(unit, ordered=kind == "video")
    for path in (*unit.frames.values(), *unit.labels.values()):
        yield from facts[path].findings
    yield from _check_sizes(unit, facts, one_size=kind == "video")
    yield from (check_video if kind == "video" else check_images)(unit, facts)


def _missing_folders(root: Path, kind: Kind) -> Iterator[Finding]:
    for name in ("JPEGImages", "Annotations"):
        if not is_folder(root / name):
            near = [folder for folder in subfolders(root) if folder.casefold() == name.casefold()]
            yield error(root / name, f"no such folder; {f'rename {near[0]}' if near else _LAYOUT[kind]}")


def _find_units(images: Path, masks: Path, kind: Kind) -> tuple[list[Unit], list[Finding]]:
    """Return the videos or sets, and findings about files outside them."""
    units = [list_unit(name, images / name, masks / name) for name in subfolders(images)]
    loose = list_unit("", images, masks)
    findings = []
    if kind == "static" and loose.frames:
        units.append(replace(loose, name=LOOSE))
    elif loose.frames:
        first, *others = loose.frames.values()
        advice = "make a folder per video, or use kind static for images"
        stray = error(first, f"frame outside a video's folder, not used; {advice}", others=len(others))
        findings.append(stray)
    for name in sorted(set(subfolders(masks)) - {unit.name for unit in units}):
        advice = f"add {images / name} or remove them"
        findings.append(warning(masks / name, f"masks without frames, not used; {advice}"))
    return units, findings


def _check_lists(root: Path, images: Path, known: set[str], kind: Kind) -> Iterator[Finding]:
    if kind == "static" and LOOSE in known:
        return  # lists hold image names there
    for path in sorted((root / "ImageSets").glob("*.txt")):
        try:
            names = read_split(path)
        except InputError:
            yield error(path, "empty list; write one name per line, or remove it")
            continue
        for name in names:
            if name not in known:
                yield error(path, f"lists {name}, which is not in {images}; correct the list")


def _read_all(units: Iterable[Unit], *, decode: bool, workers: int, progress: bool) -> dict[Path, Facts]:
    frames = [(path, check_frame) for unit in units for path in unit.frames.values()]
    tasks = frames + [(path, check_mask) for unit in units for path in unit.labels.values()]
    found = {}
    with (
        ThreadPoolExecutor(workers) as pool,  # decoders release the interpreter's lock
        progress_bar(len(tasks), unit="file", shown=progress) as bar,
    ):
        facts = pool.map(lambda task: task[1](task[0], decode=decode), tasks)
        for (path, _), fact in zip(tasks, facts, strict=True):
            found[path] = fact
            bar.update()
    return found


def _check_sizes(unit: Unit, facts: Mapping[Path, Facts], *, one_size: bool) -> Iterator[Finding]:
    sizes = {path: size for path in unit.frames.values() if (size := facts[path].size)}
    for stem in unit.labelled:
        frame, mask = unit.frames[stem], unit.labels[stem]
        if frame in sizes:
            yield from check_size(mask, facts[mask], sizes[frame])
    counts = Counter(sizes.values())
    if one_size and len(counts) > MOST_SIZES:
        advice = "give frames of one size, or if they are single images use kind static"
        yield error(unit.images, f"frames of {len(counts)} sizes; {advice}")
    elif one_size and len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        for path, size in sizes.items():
            if size != usual:
                most = f"most frames of its video {size_of(usual)}"
                yield error(path, f"{size_of(size)}, but {most}; give frames of one size")
