"""Reads the operators of a `.tflite` file from its bytes (LiteRT schema, no TensorFlow)."""

import collections
import dataclasses

from ai_edge_litert import schema_py_generated as schema

_OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_FLOATS = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
_INTEGERS = (schema.TensorType.INT8, schema.TensorType.UINT8)
_BORDERS = ("QUANTIZE", "DEQUANTIZE", "CAST")


@dataclasses.dataclass(frozen=True)
class Inspection:
    """The operators of a model.

    Attributes:
        operators: name -> count.
        custom_operators: tuple of the names of custom operators, which a plain runtime does not support.
        not_quantized: name -> count of operators without 8-bit tensors. A layer with 8-bit weights and float
            activations counts as quantized.
        min_runtime_version: oldest runtime that supports all operators, as recorded by the converter; "" if not
            recorded.
    """

    operators: dict
    custom_operators: tuple
    not_quantized: dict
    min_runtime_version: str


def inspect(content):
    """Returns the `Inspection` of a `.tflite` file, given its bytes."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    operators, not_quantized, custom = collections.Counter(), collections.Counter(), []
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            # Old files have operator numbers only in the deprecated field.
            name = _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]
            operators[name] += 1
            if code.customCode:
                custom.append(code.customCode.decode())
            if name not in _BORDERS and _in_floats(graph, operator):
                not_quantized[name] += 1
    return Inspection(dict(operators), tuple(custom), dict(not_quantized), _min_runtime_version(model))


def _in_floats(graph, operator):
    used = [*operator.inputs, *operator.outputs]
    types = {graph.tensors[index].type for index in used if index >= 0}
    return bool(types.intersection(_FLOATS)) and not types.intersection(_INTEGERS)


def _min_runtime_version(model):
    for entry in model.metadata or []:
        if entry.name == b"min_runtime_version":
            return bytes(model.buffers[entry.buffer].data).rstrip(b"\0").decode()
    return ""
