"""The model: encoders, attention, LSTT and GPM blocks, decoder, checkpoints. Knows no video."""
