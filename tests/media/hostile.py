"""Files of masks with replaced parts."""

import json
from random import Random

from aotlab import InputError
from aotlab.sdk import read_annotations
from tests.media.sample import VIDEO
from tests.mutations import mutate_tree


def read_or_reject(path):
    """Masks of all frames, or None if the file is rejected with one plain sentence."""
    try:
        found = read_annotations(path, VIDEO)
        return [found.mask(frame) for frame in found.frames]
    except (InputError, OSError) as error:
        sentence = str(error)
    assert path.name in sentence
    assert "\n" not in sentence
    assert "object at 0x" not in sentence
    return None


def check_replaced_parts(path, tree, count):
    """Read the file as it is, and with one part changed, ``count`` times."""
    path.write_text(json.dumps(tree))
    assert read_or_reject(path)
    random = Random(0)
    for _ in range(count):
        path.write_text(json.dumps(mutate_tree(tree, random)))
        read_or_reject(path)
