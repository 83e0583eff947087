"""Distances with finite gradients everywhere."""

from keras import ops

from keras_cdd.annotations import Tensor


def euclidean_distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (N, D), (M, D) -> (N, M); at least 1e-6, where the gradient is 0."""
    squares = ops.sum(a * a, axis=-1)[:, None] + ops.sum(b * b, axis=-1)[None, :]
    return ops.sqrt(ops.maximum(squares - 2.0 * ops.matmul(a, ops.transpose(b)), 1e-12))


def safe_norm(x: Tensor, axis: int | tuple[int, ...] = -1) -> Tensor:
    """L2 norm along `axis`; the gradient at a zero vector is 0, where that of `tf.norm` is NaN."""
    squares = ops.sum(x * x, axis=axis)
    zero = ops.equal(squares, 0.0)
    return ops.where(zero, 0.0, ops.sqrt(ops.where(zero, 1.0, squares)))


def unit_rows(x: Tensor, epsilon: float = 1e-12) -> Tensor:
    """(N, D) -> (N, D) with rows of length 1; rows shorter than `epsilon` are divided by `epsilon` instead."""
    return x / ops.maximum(safe_norm(x), epsilon)[:, None]
