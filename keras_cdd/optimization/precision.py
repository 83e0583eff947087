"""The precisions that a training computes in."""

import keras

# `--mixed_precision` -> the dtype policy of the layers; weights, losses and statistics are float32 in all of them.
PRECISIONS = {"none": "float32", "float16": "mixed_float16", "bfloat16": "mixed_bfloat16"}


def with_loss_scaling(optimizer: keras.optimizers.Optimizer, precision: str) -> keras.optimizers.Optimizer:
    """The optimizer, in float16 with a scaled loss; the other precisions have the range of float32.

    Args:
        optimizer: any optimizer.
        precision: a name of `PRECISIONS`.
    """
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer
