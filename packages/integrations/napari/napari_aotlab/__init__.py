"""napari plug-in: objects of a Labels layer tracked through an Image layer."""
