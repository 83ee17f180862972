"""Measurements of aotlab: speed, memory on long videos, latency of the annotator; run from a checkout's root.

Importing this package decides how PyTorch's threads wait, which has to happen before PyTorch is imported.
"""

from aotlab.utils.environment import set_waiting

set_waiting()
