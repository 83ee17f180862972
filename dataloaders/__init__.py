"""Readers of labeled videos: layouts, sequences, archives; `training` has training sets, clips and augmentation."""
