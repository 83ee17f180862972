"""Tracking of videos from file to outputs, one at a time or in lists."""

import aotlab.media.extras  # noqa: F401  # for messages about missing libraries
