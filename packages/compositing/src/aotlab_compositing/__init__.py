"""Outputs of aotlab for compositing: OpenEXR layers, Cryptomatte, plates with alpha, mattes, ProRes."""
