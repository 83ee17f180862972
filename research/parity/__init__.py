"""The authors' own code of AOT and DeAOT beside aotlab's: masks, logits and speed."""
