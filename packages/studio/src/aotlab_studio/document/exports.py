"""What the studio adds to the videos and annotations that outputs and formats get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import aotlab_video
from aotlab_studio.document.schema import Schema
from aotlab_studio.document.scores import Score


@dataclass(eq=False)
class SchemaAnnotations(aotlab_video.Annotations):
    """Annotations with the classes that objects may have."""

    schema: Schema = field(default_factory=Schema)


@dataclass(frozen=True)
class ExportContext(aotlab_video.OutputContext):
    """Video of an output with the schema and the scores of a project."""

    schema: Schema = field(default_factory=Schema)
    scores: Mapping[int, Mapping[int, Score]] = field(default_factory=dict)
    """Scores by frame and object id; outputs measure those of other frames."""

    def make_annotations(self) -> SchemaAnnotations:
        """Return annotations of the video with the schema, still without regions."""
        made = super().make_annotations()
        return SchemaAnnotations(**{item.name: getattr(made, item.name) for item in fields(made)}, schema=self.schema)


def find_schema(annotations: aotlab_video.Annotations) -> Schema:
    """Return the classes that objects may have; an empty schema if the annotations have none."""
    return annotations.schema if isinstance(annotations, SchemaAnnotations) else Schema()
