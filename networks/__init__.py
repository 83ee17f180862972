"""The model: encoders, identity bank, attention, LSTT blocks, decoder, checkpoints. Knows no video."""
