"""Trackers of other projects behind aotlab's interface: ``aotlab track --checkpoint sam2.1_hiera_tiny``."""
