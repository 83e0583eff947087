"""A layer with the weights of itself and of what stands around it: BatchNorms, indicators, scales."""

from collections.abc import Iterable

import keras
import numpy as np

from keras_cdd.layers import ChannelIndicator, DiagonalIndicator
from keras_cdd.models.kinds import DEPTHWISE, SEPARABLE, TRANSPOSED
from keras_cdd.models.restoring import config_of, restored


def folded_layer(
    layer: keras.layers.Layer,
    name: str,
    before: Iterable[keras.layers.Layer] = (),
    after: Iterable[keras.layers.Layer] = (),
    scales: Iterable[tuple[DiagonalIndicator, np.ndarray]] = (),
) -> keras.layers.Layer:
    """A stock float32 layer that computes what several do one after the other; its weights are computed in float64.

    Args:
        layer: convolution of any kind or dense layer, channels last.
        name: of the new layer.
        before, after: BatchNorms, indicators and 1x1 depthwise convolutions around it, in the order in which they are
            called; `foldings` knows which may be.
        scales: diagonal indicators further ahead; see `Folding`.
    """
    weights = _Weights(layer)
    for operation in reversed(tuple(before)):
        weights.take_inputs_through(*_affine(operation))
    for indicator, numbers in scales:
        weights.take_inputs_through(np.append(_affine(indicator)[0], 1.0)[numbers], None)
    for operation in after:
        weights.take_outputs_through(*_affine(operation))
    return weights.layer(name)


def in_inference(bn: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """What BatchNorm multiplies every channel with, and what it adds then; (C,) both, float64."""
    mean, variance = _float64(bn.moving_mean), _float64(bn.moving_variance)
    gamma = 1.0 if bn.gamma is None else _float64(bn.gamma)
    beta = 0.0 if bn.beta is None else _float64(bn.beta)
    factor = gamma / np.sqrt(variance + bn.epsilon)
    return factor, beta - mean * factor


def _affine(operation: keras.layers.Layer) -> tuple[np.ndarray, np.ndarray | None]:
    """Factors (C,) or matrix (C, kept), and what is added if anything is."""
    if isinstance(operation, keras.layers.BatchNormalization):
        return in_inference(operation)
    kernel = _float64(operation.kernel)
    if isinstance(operation, ChannelIndicator):
        return kernel[0, 0], None
    if isinstance(operation, DiagonalIndicator):
        return kernel.ravel(), None
    return kernel.ravel(), _float64(operation.bias) if operation.use_bias else None


def _float64(weight: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(weight).astype(np.float64)


class _Weights:
    """Weights of a layer, float64: a depthwise kernel, one (..., inputs, outputs), or both; and a bias, if any."""

    def __init__(self, layer: keras.layers.Layer) -> None:
        self._layer = layer
        self._depthwise: np.ndarray | None = None
        self._mixing: np.ndarray | None = None
        self._bias = _float64(layer.bias) if layer.use_bias else None
        if type(layer) in SEPARABLE:
            self._depthwise, self._mixing = _float64(layer.depthwise_kernel), _float64(layer.pointwise_kernel)
        elif type(layer) in DEPTHWISE:
            self._depthwise = _float64(layer.kernel)
        else:
            self._mixing = self._turned(_float64(layer.kernel))

    def take_outputs_through(self, factor: np.ndarray, shift: np.ndarray | None) -> None:
        if self._mixing is not None:
            self._mixing = _times(self._mixing, factor)
        elif self._depthwise is not None:
            self._depthwise = self._depthwise * factor.reshape(self._depthwise.shape[-2:])
        if self._bias is not None:
            self._bias = _times(self._bias, factor)
        self._add(shift)

    def take_inputs_through(self, factor: np.ndarray, shift: np.ndarray | None) -> None:
        self._add(None if shift is None else self._of_the_same_everywhere(shift))
        columns = factor[:, None] if factor.ndim == 1 else factor
        if self._depthwise is not None:
            self._depthwise = self._depthwise * columns
        elif self._mixing is not None:
            self._mixing = self._mixing * columns if factor.ndim == 1 else columns @ self._mixing

    def layer(self, name: str) -> keras.layers.Layer:
        """A stock layer with the geometry of the old one."""
        old, config = self._layer, {"name": name, "dtype": "float32", "use_bias": self._bias is not None}
        if self._mixing is not None:
            config["units" if isinstance(old, keras.layers.Dense) else "filters"] = self._mixing.shape[-1]
        new = restored(old, {**config_of(old), **config})
        kernels = [kernel for kernel in (self._depthwise, self._mixing) if kernel is not None]
        new.build((*[None] * (kernels[0].ndim - 1), kernels[0].shape[-2] * getattr(old, "groups", 1)))
        weights = [*map(self._turned, kernels), *([] if self._bias is None else [self._bias])]
        new.set_weights([weight.astype(np.float32) for weight in weights])
        return new

    def _add(self, summand: np.ndarray | None) -> None:
        if summand is not None:
            self._bias = summand if self._bias is None else self._bias + summand

    def _of_the_same_everywhere(self, values: np.ndarray) -> np.ndarray:
        """What the kernels make of a map that has `values` at every position, padding too."""
        if self._depthwise is not None:
            values = (values[:, None] * _summed(self._depthwise)).ravel()
        return values if self._mixing is None else values @ _summed(self._mixing)

    def _turned(self, kernel: np.ndarray) -> np.ndarray:
        return np.swapaxes(kernel, -1, -2) if type(self._layer) in TRANSPOSED else kernel


def _times(values: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return values * factor if factor.ndim == 1 else values @ factor


def _summed(kernel: np.ndarray) -> np.ndarray:
    return kernel.sum(tuple(range(kernel.ndim - 2)))
