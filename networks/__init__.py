"""The model: encoders, identity bank, attention, LSTT blocks, decoder. Knows no video and no file format but checkpoints."""
