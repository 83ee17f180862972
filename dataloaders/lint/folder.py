"""Checks of a folder of training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from aotlab.dataloaders.lint.files import Facts, Finding, check_frame, check_mask, size_of
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
    images, masks, findings = _find_folders(root, kind)
    if images is None or masks is None:
        return LintResult(findings)
    units, stray = _find_units(images, masks, kind)
    findings += stray + list(_check_lists(root, images, {unit.name for unit in units}, kind))
    facts = _read_all(units, decode=decode, workers=workers, progress=progress)
    report = LintResult(findings, units=len(units), objects=0 if decode else None)
    for unit in units:
        findings += gather(_check_unit(unit, facts, kind))
        _count(report, unit, facts, kind)
    usable = [unit for unit in units if len(unit.labelled) >= (LEAST_FRAMES if kind == "video" else 1)]
    if not usable:
        findings.append(Finding("error", root, f"nothing to train on; {_LAYOUT[kind]}"))
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    return report


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


def _count(report: LintResult, unit: Unit, facts: Mapping[Path, Facts], kind: Kind) -> None:
    report.frames += len(unit.frames)
    report.labelled += len(unit.labelled)
    report.sizes.update(size for path in unit.frames.values() if (size := facts[path].size))
    if report.objects is not None:
        report.objects += count_objects(unit, facts, video=kind == "video")


def _find_folders(root: Path, kind: Kind) -> tuple[Path | None, Path | None, list[Finding]]:
    forms = VIDEO_FORMS if kind == "video" else (("JPEGImages", "Annotations"),)
    for image_form, mask_form in forms:
        if is_folder(root / image_form) and is_folder(root / mask_form):
            return root / image_form, root / mask_form, []
    findings = []
    for name in ("JPEGImages", "Annotations"):
        if not is_folder(root / name):
            near = [folder for folder in subfolders(root) if folder.casefold() == name.casefold()]
            advice = f"rename {near[0]}" if near else _LAYOUT[kind]
            findings.append(Finding("error", root / name, f"no such folder; {advice}"))
    return None, None, findings


def _find_units(images: Path, masks: Path, kind: Kind) -> tuple[list[Unit], list[Finding]]:
    """Return the videos or sets, and findings about files outside them."""
    units = [list_unit(name, images / name, masks / name) for name in subfolders(images)]
    loose = list_unit("", images, masks)
    findings = []
    if kind == "static" and loose.frames:
        units.append(replace(loose, name=LOOSE))
    elif loose.frames:
        first = next(iter(loose.frames.values()))
        message = (
            "frame outside a video's folder, not used; make a folder per video, or use kind static for images"
        )
        findings.append(Finding("error", first, message, others=len(loose.frames) - 1))
    for name in sorted(set(subfolders(masks)) - {unit.name for unit in units}):
        message = f"masks without frames, not used; add {images / name} or remove them"
        findings.append(Finding("warning", masks / name, message))
    return units, findings


def _check_lists(root: Path, images: Path, known: set[str], kind: Kind) -> Iterator[Finding]:
    if kind == "static" and LOOSE in known:
        return  # lists hold image names there
    for path in sorted((root / "ImageSets").glob("*.txt")):
        try:
            names = read_split(path)
        except InputError:
            yield Finding("error", path, "empty list; write one name per line, or remove it")
            continue
        for name in names:
            if name not in known:
                yield Finding("error", path, f"lists {name}, which is not in {images}; correct the list")


def _read_all(units: Iterable[Unit], *, decode: bool, workers: int, progress: bool) -> dict[Path, Facts]:
    frames = [(path, check_frame) for unit in units for path in unit.frames.values()]
    tasks = frames + [(path, check_mask) for unit in units for path in unit.labels.values()]
    with ThreadPoolExecutor(max(workers, 1)) as pool:  # decoders release the interpreter's lock
        facts = pool.map(lambda task: task[1](task[0], decode=decode), tasks)
        with progress_bar(len(tasks), unit="file", shown=progress) as bar:
            found = {}
            for (path, _), fact in zip(tasks, facts, strict=True):
                found[path] = fact
                bar.update()
        return found


def _check_sizes(unit: Unit, facts: Mapping[Path, Facts], *, one_size: bool) -> Iterator[Finding]:
    for stem in unit.labelled:
        frame, mask = facts[unit.frames[stem]].size, facts[unit.labels[stem]].size
        if frame and mask and frame != mask:
            message = f"{size_of(mask)}, but its frame is {size_of(frame)}; give a mask of the frame's size"
            yield Finding("error", unit.labels[stem], message)
    sizes = Counter(size for path in unit.frames.values() if (size := facts[path].size))
    if one_size and len(sizes) > MOST_SIZES:
        message = f"frames of {len(sizes)} sizes; give frames of one size, or if they are single images use kind static"
        yield Finding("error", unit.images, message)
    elif one_size and len(sizes) > 1:
        usual = sizes.most_common(1)[0][0]
        for path in unit.frames.values():
            size = facts[path].size
            if size and size != usual:
                message = (
                    f"{size_of(size)}, but most frames of its video {size_of(usual)}; give frames of one size"
                )
                yield Finding("error", path, message)
