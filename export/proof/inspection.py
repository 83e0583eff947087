"""What a `.tflite` file holds, read from its bytes (NumPy and the LiteRT schema, no TensorFlow)."""

import collections
import dataclasses

from ai_edge_litert import schema_py_generated as schema

_OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_FLOATS = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
_INTEGERS = (schema.TensorType.INT8, schema.TensorType.UINT8)
_BORDERS = ("QUANTIZE", "DEQUANTIZE", "CAST")


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What a model is made of.

    Attributes:
        operators: name -> how many.
        custom_operators: names of operators that a plain runtime does not know.
        not_quantized: name -> how many compute with floats alone; a layer with 8-bit weights on float activations
            counts as quantized.
        min_runtime_version: the oldest runtime that knows all operators, as the converter found; "" if it did not.
    """

    operators: dict
    custom_operators: tuple
    not_quantized: dict
    min_runtime_version: str


def inspect(content):
    """The `Inspection` of the bytes of a `.tflite` file."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    operators, not_quantized, custom = collections.Counter(), collections.Counter(), []
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            # Old files keep small numbers in the deprecated field alone.
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
