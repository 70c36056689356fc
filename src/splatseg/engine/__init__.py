"""The compiled CPU engine: its bindings, threads, Adam, the fused L1 + SSIM loss, reused buffers.

The specification of each kernel is its plain-torch twin: `render.reference`, `losses.photometric`
and the loop in `adam.adam_steps`, which runs where the engine was not compiled.
"""
