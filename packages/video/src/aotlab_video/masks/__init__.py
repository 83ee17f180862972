"""Masks and regions in files: mask images, annotation files, and which of their frames and videos is which."""
