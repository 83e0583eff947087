"""What pushes channel indicators down: the group lasso over output channels, and its proximal step."""

from collections.abc import Iterable

from keras import ops

from keras_cdd.annotations import Tensor
from keras_cdd.losses.distances import safe_norm


def compression_loss(kernels: Iterable[Tensor]) -> Tensor:
    """Sum over indicators and output channels of the L2 norm of the channel's kernel (CDD, eq. 4).

    Args:
        kernels: sequence of (1, 1, inputs, outputs).

    Its automatic gradient is 0 for channels below 1e-19, whose squares float32 cannot hold;
    `compression_gradient` keeps their direction.
    """
    return sum(ops.sum(channel_norms(kernel)) for kernel in kernels)


def compression_gradient(kernel: Tensor) -> Tensor:
    """Gradient of the loss for one kernel: `K / ||K||` per output channel; exactly 0 where a channel is 0.

    The largest element scales each channel first, so that neither tiny nor huge norms overflow in float32.
    """
    kernel = ops.cast(kernel, "float32")
    largest = ops.max(ops.abs(kernel), axis=(0, 1, 2), keepdims=True)
    zero = ops.equal(largest, 0.0)
    scaled = kernel / ops.where(zero, 1.0, largest)
    norms = ops.sqrt(ops.sum(scaled * scaled, axis=(0, 1, 2), keepdims=True))
    return scaled / ops.where(zero, 1.0, norms)


def proximal_step(kernel: Tensor, threshold: Tensor) -> Tensor:
    """Shrinks the norm of every output channel by `threshold`, down to exact zero (group soft-thresholding).

    It is the proximal operator of `threshold * compression_loss`; gradient steps only hover around 0.

    Args:
        kernel: (1, 1, inputs, outputs).
        threshold: at least 0, in units of the norm.

    Returns:
        float32, of the kernel's shape.
    """
    kernel = ops.cast(kernel, "float32")
    norms = channel_norms(kernel)
    factors = ops.relu(1.0 - threshold / ops.maximum(norms, 1e-30))
    return kernel * factors


def channel_norms(kernel: Tensor) -> Tensor:
    """(1, 1, inputs, outputs) -> (outputs,)."""
    return safe_norm(ops.cast(kernel, "float32"), axis=(0, 1, 2))
