"""Networks of all methods.

Read in this order: `model` (the methods of every model, and the types that they exchange), `attention`,
`identity_bank`, `aot` (the first paper, block and model), `deaot`, then the papers that change parts of them: `rmem`,
`aost`, `msdeaot`, `paot`. `encoders`, `swin`, `decoders`, `layers` and `multiscale` are their parts; `build` has the
class of each method, `preprocess` the size of the input.
`aotlab.engine.recurrence` runs a model from frame to frame. `fast` replaces modules for speed, with the same results up
to rounding; `weights` reads and writes checkpoints.
"""
