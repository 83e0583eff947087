"""Networks of keras.applications as backbones: flat, and from pixels in 0..255."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import numpy as np

from keras_cdd.models.call import Call
from keras_cdd.models.copies import Copies
from keras_cdd.models.graph import Graph, all_layers
from keras_cdd.models.rescaling import Rescaling, rescaling_of

# Name of the backbone -> name of the function in keras.applications. ResNets are those of `gated_resnet`.
APPLICATIONS = {
    "mobilenet": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_small": "MobileNetV3Small",
    "mobilenet_v3_large": "MobileNetV3Large",
    **{f"efficientnet_b{size}": f"EfficientNetB{size}" for size in range(8)},
    **{f"efficientnet_v2_{size}": f"EfficientNetV2{size.upper()}" for size in ("b0", "b1", "b2", "b3", "s", "m", "l")},
    **{f"convnext_{size}": f"ConvNeXt{size.title()}" for size in ("tiny", "small", "base", "large")},
    **{f"densenet{depth}": f"DenseNet{depth}" for depth in (121, 169, 201)},
    **{f"resnet{depth}_v2": f"ResNet{depth}V2" for depth in (50, 101, 152)},
    "inception_v3": "InceptionV3",
    "inception_resnet_v2": "InceptionResNetV2",
    "xception": "Xception",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
}
PREPROCESSING = (keras.layers.Rescaling, keras.layers.Normalization)
# Keras' own values of up to 0.9997 would keep the initial statistics for thousands of steps.
BN_MOMENTUM = 0.9


def application(
    backbone: str,
    image_size: tuple[int, int] = (224, 224),
    rescaling: Rescaling | None = None,
    weights: str | None = None,
) -> keras.Model:
    """The layers of a network of keras.applications before its classifier.

    Preprocessing, inside the network or in Keras' `preprocess_input`, becomes a single `Rescaling`, models inside the
    network become their layers, and BatchNorm statistics follow within some dozen steps (momentum 0.9 at most).

    Args:
        backbone: a key of `APPLICATIONS`.
        image_size: (height, width) in pixels; (224, 224) by default.
        rescaling: (scale, offset) from pixels 0..255 to what the first convolution sees, each a number or one per
            channel. Default: that of the network in keras.applications.
        weights: None (the default) for new weights, "imagenet" for those that Keras downloads.

    Returns:
        A functional model of stock layers from RGB pixels (N, height, width, 3) in 0..255 to a feature map
        (N, h, w, C).

    Raises:
        ValueError: if the image is too small for the network.
    """
    make, module = _found(backbone)
    image = keras.Input((*image_size, 3), name="image")
    # Keras refuses some sizes that its networks can compute, unless it does not hear of them.
    shape = None if weights is None else (*image_size, 3)
    network = make(include_top=False, weights=weights, input_tensor=image, input_shape=shape)
    swapped = False
    if rescaling is None:
        inside = _preprocessing(network) or np.asarray
        rescaling, swapped = rescaling_of(lambda pixels, **layout: inside(module.preprocess_input(pixels, **layout)))
    scale, offset = rescaling
    # Not called "rescaling", as a layer of the network may be.
    pixels = keras.layers.Rescaling(scale, offset, name="pixels")(image)
    graph = Graph(backbone, image, network(pixels))
    flat = graph.replay(_WithoutPreprocessing(graph))
    if swapped and weights is not None:
        first = next(layer for layer in flat.layers if isinstance(layer, keras.layers.Conv2D))
        first.kernel.assign(keras.ops.flip(first.kernel, axis=2))
    return flat


def preprocessing_of(backbone: str, network: keras.Model) -> tuple[Rescaling | None, bool]:
    """The preprocessing of a network that keras.applications, or somebody with its help, made.

    Args:
        backbone: a key of `APPLICATIONS`.
        network: the network, alone or inside a model.

    Returns:
        `(rescaling, swapped)`, see `rescaling_of`: of the layers in the model that rescale or normalize; without any,
        of `preprocess_input`; None if that, too, does nothing.
    """
    outside = _found(backbone)[1].preprocess_input
    inside = _preprocessing(network)
    found = rescaling_of(outside if inside is None else lambda pixels, **layout: inside(pixels))
    return (None, False) if found[0] == (1.0, 0.0) else found


def _found(backbone: str) -> tuple[Callable[..., keras.Model], ModuleType]:
    """The function of keras.applications, and the module with its `preprocess_input`."""
    make = getattr(keras.applications, APPLICATIONS[backbone])
    name = inspect.getmodule(make).__name__.rsplit(".", 1)[-1]  # type: ignore[union-attr]
    return make, getattr(keras.applications, name)


def _preprocessing(model: keras.Model) -> Callable[[np.ndarray], np.ndarray] | None:
    """What layers of a model do to colours, as a function of arrays in full precision; None without such layers."""
    layers = [layer for layer in all_layers(model) if isinstance(layer, PREPROCESSING)]
    layers = [layer for layer in layers if isinstance(layer, keras.layers.Rescaling) or np.size(layer.mean) in (1, 3)]

    def preprocess(x: np.ndarray) -> np.ndarray:
        for layer in layers:
            if isinstance(layer, keras.layers.Rescaling):
                x = x * np.asarray(layer.scale) + np.asarray(layer.offset)
            else:
                x = (x - np.asarray(layer.mean)) / np.sqrt(np.asarray(layer.variance))
        return x

    return preprocess if layers else None


class _WithoutPreprocessing(Copies):
    """Copies a network without its own preprocessing."""

    def __call__(self, call: Call, *args: Any, **kwargs: Any) -> Any:
        if isinstance(call.operation, PREPROCESSING) and call.operation.name != "pixels":
            return args[0]
        return super().__call__(call, *args, **kwargs)

    def copy_of(self, operation: keras.Operation, config: dict[str, Any]) -> keras.Operation:
        if isinstance(operation, keras.layers.BatchNormalization):
            config["momentum"] = min(config["momentum"], BN_MOMENTUM)
        return super().copy_of(operation, config)
