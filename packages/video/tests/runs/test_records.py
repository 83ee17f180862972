"""Changed lines of stored results."""

import json
from contextlib import suppress
from random import Random

import numpy as np

from aotlab import InputError
from aotlab_testing.mutations import mutate_tree
from aotlab_testing.video.stored_results import write_results
from aotlab_video import Results


def test_changed_lines_of_results_are_refused_or_read(tmp_path):
    lines = [json.dumps(entry) for entry in write_results(tmp_path, 2).entries]
    path, random = tmp_path / "frames.jsonl", Random(0)
    for _ in range(200):
        changed = [json.dumps(mutate_tree(json.loads(line), random)) for line in lines]
        path.write_text("".join(f"{line}\n" for line in changed))
        with suppress(InputError):
            results = Results.read(tmp_path)
            image = np.zeros((32, 32, 3), np.uint8)
            for entry in results.entries:
                with suppress(InputError):  # of a mask that does not exist
                    results.read_frame(entry, image)
