"""Files of one layer compute what they say, and are timed."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from keras_cdd.evaluation.layer_file import layer_file
from keras_cdd.evaluation.layer_latency import layers_ms, timing_facts
from keras_cdd.models.layer_shapes import LAYER_PRECISIONS, LayerShape

LAYERS = [
    (LayerShape((3, 3), (1, 1), (4, 5)), 8, 12),
    (LayerShape((7, 7), (2, 2), (4, 4)), 3, 8),
    (LayerShape((1, 1), (1, 1), (1, 1)), 16, 4),
    (LayerShape((3, 3), (2, 2), (4, 3), is_depthwise=True), 8, 8),
]


@pytest.mark.parametrize("precision", LAYER_PRECISIONS)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_file_holds_one_layer_of_its_shape_and_precision(layer, precision):
    shape, inputs, outputs = layer
    content = layer_file(*layer, precision)
    (operator,) = schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0].operators
    assert operator.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.RELU
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert into["dtype"] == out["dtype"] == np.dtype(precision)
    assert tuple(out["shape"]) == (1, *shape.size, outputs) and into["shape"][3] == inputs
    interpreter.set_tensor(into["index"], np.full(into["shape"], 100).astype(precision))
    interpreter.invoke()
    assert interpreter.get_tensor(out["index"]).max() > 0


def test_layers_take_time():
    assert all(0 < ms < 1000 for precision in LAYER_PRECISIONS for ms in layers_ms(LAYERS[:2], precision))
    assert timing_facts("int8")["precision"] == "int8" and timing_facts("int8") == timing_facts("int8")
