"""PyTorch's layouts and names, common to all schemes that come from there."""

import numpy as np

BN_NAMES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def torch_name(variable: str) -> str:
    """PyTorch's name of a Keras variable: "weight" of "kernel" and "gamma", "running_mean" of "moving_mean"."""
    return {"kernel": "weight", "bias": "bias", **BN_NAMES}[variable]


def from_torch(array: np.ndarray, path: str) -> np.ndarray:
    """A PyTorch array in Keras' layout.

    OIHW becomes HWIO, (out, in) becomes (in, out). A depthwise kernel, (channels, 1, height, width), becomes
    (height, width, channels, 1); it is told by "depthwise" in the path.
    """
    if array.ndim == 4:
        return array.transpose(2, 3, 0, 1) if "depthwise" in path else array.transpose(2, 3, 1, 0)
    return array.T if array.ndim == 2 else array
