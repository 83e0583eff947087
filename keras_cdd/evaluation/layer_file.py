"""A TFLite file of one convolution, to measure how long a runtime takes for it (without TensorFlow)."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {"int8": schema.TensorType.INT8, "float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}
_VERSIONS = {"int8": 3, "float32": 1}


def layer_file(shape, inputs, outputs, precision):
    """The bytes of a `.tflite` file with one layer of random weights, a bias and a ReLU.

    Args:
        shape: `keras_cdd.models.layer_shapes.LayerShape`.
        inputs, outputs: number of channels; the same for a depthwise convolution.
        precision: one of `keras_cdd.models.layer_shapes.LAYER_PRECISIONS`; "int8" has a scale per output channel.
    """
    rng = np.random.default_rng(0)
    image = (1, *(side * step for side, step in zip(shape.size, shape.strides, strict=True)), inputs)
    kernel = (1, *shape.kernel, outputs) if shape.is_depthwise else (outputs, *shape.kernel, inputs)
    if precision == "int8":
        weights, bias = rng.integers(-127, 128, kernel, np.int8), np.zeros(outputs, np.int32)
    else:
        weights, bias = rng.standard_normal(kernel, np.float32), np.zeros(outputs, np.float32)
    scales = np.full(outputs, 0.01, np.float32)
    model = schema.ModelT()
    model.version, model.buffers, model.description = 3, [schema.BufferT()], b"one layer"
    model.operatorCodes, model.subgraphs = [_code(shape, precision)], [schema.SubGraphT()]
    graph = model.subgraphs[0]
    graph.tensors = [
        _tensor(model, "input", image, precision, np.array([0.02], np.float32)),
        _tensor(model, "kernel", kernel, precision, scales, 3 if shape.is_depthwise else 0, weights),
        _tensor(model, "bias", bias.shape, bias.dtype.name, 0.02 * scales, 0, bias),
        _tensor(model, "output", (1, *shape.size, outputs), precision, np.array([0.05], np.float32)),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [_operator(shape)]
    builder = flatbuffers.Builder(weights.nbytes + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _code(shape, precision):
    code = schema.OperatorCodeT()
    kind = schema.BuiltinOperator
    code.builtinCode = kind.DEPTHWISE_CONV_2D if shape.is_depthwise else kind.CONV_2D
    code.deprecatedBuiltinCode, code.version = code.builtinCode, _VERSIONS[precision]
    return code


def _operator(shape):
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    if shape.is_depthwise:
        operator.builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = 1
    else:
        operator.builtinOptionsType, options = schema.BuiltinOptions.Conv2DOptions, schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH, options.strideW = shape.strides
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    operator.builtinOptions = options
    return operator


def _tensor(model, name, shape, dtype, scales, axis=0, values=None):
    """A tensor of the model, with constant values in a buffer of its own if they are given."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), _TYPES[dtype], 0
    if values is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    if dtype != "float32":
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.quantizedDimension = scales, axis
        tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
    return tensor
