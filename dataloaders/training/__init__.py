"""Training data: sets, clips, augmentation and their mixture."""
