"""The compression loss: a group lasso over the output channels of the indicators, and its proximal step."""

from collections.abc import Iterable

from keras import ops

from keras_cdd.annotations import Tensor
from keras_cdd.losses.distances import safe_norm


def compression_loss(kernels: Iterable[Tensor]) -> Tensor:
    """Sum over indicators and output channels of the L2 norm of the channel's kernel column (CDD, eq. 4).

    The automatic gradient is 0 for channels with a norm below about 1e-19, whose squares underflow in float32;
    `compression_gradient` is exact for those, too.

    Args:
        kernels: kernels (1, 1, inputs, outputs) of the indicators.

    Returns:
        Scalar float32.
    """
    return sum(ops.sum(channel_norms(kernel)) for kernel in kernels)


def compression_gradient(kernel: Tensor) -> Tensor:
    """Gradient of `compression_loss` for one kernel: `K / ||K||` per output channel, and 0 where a channel is 0.

    Each channel is first divided by its largest element, so that tiny norms do not underflow and huge ones do not
    overflow.

    Args:
        kernel: (1, 1, inputs, outputs).

    Returns:
        float32 (1, 1, inputs, outputs).
    """
    kernel = ops.cast(kernel, "float32")
    largest = ops.max(ops.abs(kernel), axis=(0, 1, 2), keepdims=True)
    zero = ops.equal(largest, 0.0)
    scaled = kernel / ops.where(zero, 1.0, largest)
    norms = ops.sqrt(ops.sum(scaled * scaled, axis=(0, 1, 2), keepdims=True))
    return scaled / ops.where(zero, 1.0, norms)


def proximal_step(kernel: Tensor, threshold: Tensor) -> Tensor:
    """Reduces the norm of every output channel by `threshold`, to exact zero at the lowest (group soft-thresholding).

    This is the proximal operator of `threshold * compression_loss`. Gradient steps on the loss never reach exact
    zeros: they oscillate around 0.

    Args:
        kernel: (1, 1, inputs, outputs).
        threshold: scalar, at least 0, in the units of the norm.

    Returns:
        float32 (1, 1, inputs, outputs).
    """
    kernel = ops.cast(kernel, "float32")
    norms = channel_norms(kernel)
    factors = ops.relu(1.0 - threshold / ops.maximum(norms, 1e-30))
    return kernel * factors


def channel_norms(kernel: Tensor) -> Tensor:
    """L2 norms of the output channels: (1, 1, inputs, outputs) -> (outputs,) float32."""
    return safe_norm(ops.cast(kernel, "float32"), axis=(0, 1, 2))
