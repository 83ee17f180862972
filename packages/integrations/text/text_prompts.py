"""Track objects that a text describes: an open-vocabulary detector of transformers finds boxes to prompt a `Tracker`.

python text_prompts.py video.mp4 --text "a rabbit" --text "a stone" --output results/text
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.ops import box_iou, nms

from aotlab import InputError, Prompt, Tracker, write_mask
from aotlab.sdk import atomic_path
from aotlab_video import open_frames


@dataclass(frozen=True)
class Detection:
    """Box (left, top, right, bottom in pixels) of an object that a text describes, and its score in [0, 1]."""

    box: tuple[float, float, float, float]
    text: str
    score: float


Detector = Callable[[np.ndarray], list[Detection]]  # of a frame H×W×3 uint8 RGB


class TextDetector:
    """A `Detector` of objects that texts describe, with a model of ``AutoModelForZeroShotObjectDetection``."""

    def __init__(self, model: Any, processor: Any, texts: Sequence[str], threshold: float = 0.3) -> None:
        self.model, self.processor, self.texts = model.eval(), processor, [*texts]
        self.threshold = threshold

    @classmethod
    def from_pretrained(
        cls, name: str, texts: Sequence[str], *, device: str = "cpu", threshold: float = 0.3
    ) -> TextDetector:
        """Load a detector from a folder or the Hugging Face Hub; raise `InputError` if none has this name."""
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        try:
            model = AutoModelForZeroShotObjectDetection.from_pretrained(name).to(device)
            processor = AutoProcessor.from_pretrained(name)
        except (OSError, ValueError) as error:  # no such model, or not a detector
            reason = str(error).splitlines()[0][:200]
            problem = f"not a detector of transformers ({reason}); give a folder or a name"
            raise InputError(f"{name}: {problem}") from error
        return cls(model, processor, texts, threshold)

    @torch.inference_mode()
    def __call__(self, frame: np.ndarray) -> list[Detection]:
        """Return the detections of a frame H×W×3 uint8 RGB, best first."""
        image = Image.fromarray(frame)
        inputs = self.processor(text=[self.texts], images=image, return_tensors="pt").to(self.model.device)
        (found,) = self.processor.post_process_grounded_object_detection(
            self.model(**inputs), threshold=self.threshold, target_sizes=[frame.shape[:2]], text_labels=[self.texts],
        )  # fmt: skip
        rows = zip(found["boxes"].tolist(), found["text_labels"], found["scores"].tolist(), strict=True)
        detections = [Detection(tuple(box), text, score) for box, text, score in rows]
        return sorted(detections, key=lambda detection: -detection.score)


def find_untracked(detections: Sequence[Detection], labels: np.ndarray, *, max_iou: float = 0.3) -> list[Detection]:
    """Return the detections whose IoU with the box of each object in ``labels`` (H×W ids) is at most ``max_iou``.

    The box of an object is that of its largest connected component. If detections overlap each other by more than
    ``max_iou``, only the best one is returned. Boxes are cropped to the frame.
    """
    height, width = labels.shape
    corners = torch.tensor([detection.box for detection in detections], dtype=torch.float32).reshape(-1, 4)
    corners = corners.clamp(min=0).minimum(torch.tensor([width, height, width, height]))
    kept = nms(corners, torch.tensor([float(detection.score) for detection in detections]), max_iou)
    kept = kept[(corners[kept, 2:] - corners[kept, :2] >= 2).all(1)]
    tracked = [_box_largest_component(labels == object_id) for object_id in np.setdiff1d(labels, 0)]
    free = kept[(box_iou(corners[kept], torch.tensor(tracked).reshape(-1, 4)) <= max_iou).all(1)]
    return [replace(detections[index], box=tuple(corners[index].tolist())) for index in free.tolist()]


def _box_largest_component(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return the box of the largest component of a mask H×W bool: left, top, right, bottom."""
    components = cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:].astype(float)
    left, top, width, height, _ = components[components[:, 4].argmax()]
    return left, top, left + width, top + height


@dataclass
class TextTracker:
    """Tracks all objects that a detector finds in one video; objects that appear later get the next free ids."""

    tracker: Tracker
    detector: Detector
    every: int = 10
    """Number of frames from one detection to the next."""
    texts: dict[int, str] = field(default_factory=dict)
    """Text of each object by id."""

    def track(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the object ids H×W of each frame H×W×3 uint8 RGB."""
        for index, frame in enumerate(frames):
            if index % self.every:
                yield self.tracker.step(frame).labels
                continue
            state = self.tracker.state_dict()
            labels = self.tracker.step(frame).labels
            mask = self._segment(frame, labels, find_untracked(self.detector(frame), labels))
            if mask.any():  # repeat the frame with the added objects
                self.tracker.load_state_dict(state)
                labels = self.tracker.step(frame, mask).labels
            yield labels

    def _segment(self, frame: np.ndarray, labels: np.ndarray, added: Sequence[Detection]) -> np.ndarray:
        """Return the mask of the added objects, H×W ids, without pixels of tracked ones, and store their texts."""
        first = max(self.texts, default=0) + 1
        prompts = {}
        for object_id, detection in enumerate(added, first):
            left, top, right, bottom = detection.box
            prompts[object_id] = Prompt(box=(left, top, right - left, bottom - top), exclude=labels > 0)
        mask = self.tracker.prompt(frame, prompts).labels if prompts else np.zeros_like(labels)
        self.texts |= {int(value): added[value - first].text for value in np.setdiff1d(mask, 0)}
        return mask


@click.command(help="Track objects that texts describe; writes a mask per frame, and objects.json.")
@click.argument("video")
@click.option("--text", "texts", multiple=True, required=True, help="an object; may be repeated")
@click.option("--detector", default="google/owlv2-base-patch16-ensemble", show_default=True)
@click.option("--checkpoint", default="bundled", show_default=True, help="weights of aotlab")
@click.option("--device", default="auto", show_default=True)
@click.option("--threshold", default=0.3, show_default=True, help="minimum score of a detection")
@click.option("--every", type=click.IntRange(1), default=10, show_default=True, help="frames per detection")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="folder to write")
def main(
    video: str, texts: tuple[str, ...], detector: str, checkpoint: str, device: str, threshold: float, every: int,
    output: Path,
) -> None:  # fmt: skip
    """Run the command line."""
    try:
        if (output / "masks").exists():
            raise InputError(f"{output}: has masks already; remove them, or give another folder")
        frames, tracker = open_frames(video), Tracker.from_pretrained(checkpoint, device=device)
        found = TextDetector.from_pretrained(detector, texts, device=str(tracker.device), threshold=threshold)
        run = TextTracker(tracker, found, every)
        output.mkdir(parents=True, exist_ok=True)
        try:
            for index, labels in enumerate(run.track(frames)):
                write_mask(output / "masks" / f"{frames.frame_name(index)}.png", labels)
        finally:  # the masks written so far need their names
            with atomic_path(output / "objects.json") as path:
                path.write_text(json.dumps(run.texts, indent=1) + "\n")
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
