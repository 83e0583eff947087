"""Capacity Dynamic Distillation for Keras: a heavy student learns from its teacher while it is shrunk."""

import contextlib
import os
import sys
import typing

from keras_cdd.keras_backend import has_keras, require_tensorflow_backend, switch_on_onednn
from keras_cdd.quiet_start import quiet_start

__all__ = [
    "ChannelFade",
    "ChannelIndicator",
    "CompressionRule",
    "DiagonalIndicator",
    "Distiller",
    "EmbeddingQueue",
    "FeatureRecorder",
    "FisherScore",
    "GatedBasicBlock",
    "GatedBottleneck",
    "GradientReset",
    "LossWeights",
    "Part",
    "SurgeryPlan",
    "compression_loss",
    "count_macs",
    "count_params",
    "embedding_distillation_loss",
    "evaluate_ranking",
    "feature_distillation_loss",
    "fit_shrinking",
    "fuse",
    "gate_model",
    "gated_resnet",
    "identity_loss",
    "load_pretrained",
    "logit_distillation_loss",
    "plan_surgery",
    "rebuild",
    "relation_distillation_loss",
    "silence",
    "site_rule",
    "sites",
    "triplet_loss",
]

# TensorFlow reads these once, while it is loaded.
switch_on_onednn()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

if has_keras():
    require_tensorflow_backend()
    with contextlib.nullcontext() if "tensorflow" in sys.modules else quiet_start():
        import keras  # noqa: F401

    from keras_cdd.distill import (
        ChannelFade,
        CompressionRule,
        Distiller,
        EmbeddingQueue,
        FisherScore,
        GradientReset,
        Part,
    )
    from keras_cdd.evaluation import evaluate_ranking
    from keras_cdd.experiment.fit_shrinking import fit_shrinking
    from keras_cdd.layers import (
        ChannelIndicator,
        DiagonalIndicator,
        FeatureRecorder,
        GatedBasicBlock,
        GatedBottleneck,
    )
    from keras_cdd.losses import (
        LossWeights,
        compression_loss,
        embedding_distillation_loss,
        feature_distillation_loss,
        identity_loss,
        logit_distillation_loss,
        relation_distillation_loss,
        triplet_loss,
    )
    from keras_cdd.models import count_macs, count_params, gate_model, gated_resnet, load_pretrained
    from keras_cdd.models.sites import site_rule, sites
    from keras_cdd.surgery import SurgeryPlan, fuse, plan_surgery, rebuild, silence
elif not typing.TYPE_CHECKING:

    def __getattr__(name):
        """Reading images, galleries and `.tflite` files needs neither Keras nor TensorFlow; the public names do."""
        if name in __all__:
            raise ImportError(
                f"keras_cdd.{name} needs TensorFlow and Keras, which are not here; pip install tensorflow keras."
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
