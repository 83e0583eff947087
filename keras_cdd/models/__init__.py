"""Networks, their costs, and pretrained weights."""

from keras_cdd.models.cost import cost_model, count_macs, count_params
from keras_cdd.models.costs import CostModel
from keras_cdd.models.gate_model import gate_model, with_indicators
from keras_cdd.models.gated_resnet import BACKBONES, INDICATORS, LAST_STRIDES, POOLINGS, STEMS, gated_resnet
from keras_cdd.models.pretrained.loading import load_pretrained
from keras_cdd.models.retrieval_model import retrieval_model

__all__ = [
    "BACKBONES",
    "INDICATORS",
    "LAST_STRIDES",
    "POOLINGS",
    "STEMS",
    "CostModel",
    "cost_model",
    "count_macs",
    "count_params",
    "gate_model",
    "gated_resnet",
    "load_pretrained",
    "retrieval_model",
    "with_indicators",
]
