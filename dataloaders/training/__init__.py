"""Training data: sets as distributed, clips cut from them, augmentation, the mixture."""
