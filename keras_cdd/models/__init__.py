"""Networks, what they cost, and weights from elsewhere."""

from keras_cdd.models.cost import CostModel, cost_model, count_macs, count_params
from keras_cdd.models.gated_resnet import BACKBONES, gated_resnet

__all__ = ["BACKBONES", "CostModel", "cost_model", "count_macs", "count_params", "gated_resnet"]
