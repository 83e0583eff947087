"""PyTorch's layouts and names, shared by all schemes of PyTorch weights."""

import numpy as np

BN_NAMES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def torch_name(variable: str) -> str:
    """PyTorch's name for a Keras variable, such as "weight" for "kernel" and "gamma"."""
    return {"kernel": "weight", "bias": "bias", **BN_NAMES}[variable]


def from_torch(array: np.ndarray, path: str) -> np.ndarray:
    """Converts a PyTorch array to Keras' layout.

    OIHW becomes HWIO, and (out, in) becomes (in, out). A depthwise kernel (channels, 1, height, width), recognised by
    "depthwise" in the path of our weight, becomes (height, width, channels, 1).
    """
    if array.ndim == 4:
        return array.transpose(2, 3, 0, 1) if "depthwise" in path else array.transpose(2, 3, 1, 0)
    return array.T if array.ndim == 2 else array
