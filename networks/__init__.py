"""The model: encoders, attention, LSTT and GPM blocks, decoder, checkpoints. Nothing here deals with videos."""
