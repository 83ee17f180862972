"""The authors' own code of AOT and DeAOT beside aotlab's: masks, logits, speed and training."""
