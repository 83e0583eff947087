"""Puts indicators into an existing Keras model."""

import keras

from keras_cdd.errors import UserError
from keras_cdd.layers import GatedBlock
from keras_cdd.layers.indicator_kinds import INDICATOR_KINDS
from keras_cdd.models.gate_blocks import gate_blocks
from keras_cdd.models.gate_sites import gate_sites


def gate_model(
    model: keras.Model, indicators: str = "both", indicator: str = "blocks", residual: bool = False
) -> keras.Model:
    """Gives a functional Keras model channel indicators; its outputs stay.

    With `indicator="blocks"`, residual blocks become gated blocks with the same weights. A residual block is
    `conv1x1-BN-ReLU, conv3x3-BN-ReLU, conv1x1-BN, + shortcut, ReLU` (four times as wide outside as inside) or
    `conv3x3-BN-ReLU, conv3x3-BN, + shortcut, ReLU`, as in `keras.applications.ResNet50`. Blocks that a gated block
    cannot compute exactly (such as those with a dilated convolution, or with BatchNorms of different epsilon) and all
    other layers are copied unchanged.

    With `indicator="dense"` or `"diagonal"`, layers stay stock layers, and indicators stand between them, one for every
    site of `keras_cdd.sites(model, residual)`. A site without a place for one is left as it is; `print(keras_cdd.sites(
    gated))` shows which indicators there are, and why a site has none. Sites that have an indicator keep it.

    - "dense": a `ChannelIndicator` (the 1x1 convolution of CDD, section 3.1) behind the only layer that makes the
      site's channels and its BatchNorm, before everything else. The layer's own activation becomes an `Activation`
      layer behind the indicator.
    - "diagonal": a `DiagonalIndicator`, a factor a channel, at the last tensor that all layers see that read the site's
      channels; where there is none, as in a residual stream, the same one before each of these layers.

    Args:
        model: functional model or built `Sequential`; not changed.
        indicators: with `indicator="blocks"`: "both" (the default), "conv2" or "none" (gated blocks without indicators,
            for the teacher of such a student).
        indicator: "blocks" (the default), "dense" or "diagonal".
        residual: with "dense" or "diagonal": also channels that additions join. Default: False.

    Returns:
        A new model with the same outputs: to the bit with "dense" and "diagonal", else within rounding. Nested models
        and composite layers are replaced by their layers.

    Raises:
        UserError: if the model has no graph, if nothing can be gated, or if a layer with weights cannot be restored
            from its config; the message gives the reasons.
        ValueError: for an unknown `indicator`.
    """
    if indicator == "blocks":
        return gate_blocks(model, indicators)
    if indicator not in INDICATOR_KINDS:
        raise ValueError(
            f'Argument `indicator` must be "blocks", "dense" or "diagonal". Received: indicator={indicator!r}'
        )
    return gate_sites(model, indicator, residual)


def with_indicators(model: keras.Model, indicators: str, indicator: str = "dense") -> keras.Model:
    """The same architecture with other indicators and newly initialised weights: a heavy student for a plain teacher.

    Args:
        model: functional model of uncut gated blocks; not changed.
        indicators: "conv2", "both" or "none".
        indicator: "dense" (the default) or "diagonal", see `GatedBottleneck`.

    Returns:
        A new model.

    Raises:
        UserError: if a block's outer width is cut. Other layers have that width too, and nothing says their uncut one.
    """

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, GatedBlock):
            if layer.outer_filters < layer.full_outer_filters:
                raise UserError(
                    "New indicators need a network whose outer widths are uncut. "
                    f"Received: {layer.name} with {layer.outer_filters} of {layer.full_outer_filters} channels outside"
                )
            config |= {"indicators": indicators, "indicator": indicator, "kept_filters": None, "kept_channels": None}
        return layer.__class__.from_config(config)

    return keras.models.clone_model(model, clone_function=clone, recursive=True)
