"""Adds readable tensor names, and metadata for MediaPipe and the LiteRT tools, to a `.tflite` file."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

# Slots and numbers of TensorFlow Lite's metadata_schema.fbs, version 1.0, which has no separate package.
_IDENTIFIER, _PARSER_VERSION = b"M001", "1.0.0"
# Of what we write below and of the signature: names, input range, a batch of one or any.
VERSION = "1"
_RGB = 1
_FEATURES, _IMAGE = 1, 2
_NORMALIZATION = 1
_ALIGNMENT, _LONG = 16, 1 << 16


def with_metadata(content, name, description, input_type="uint8"):
    """Names the input `image` and the output `embedding`, and adds metadata.

    Args:
        content: bytes of a `.tflite` file with one input and one output.
        name, description: name and description of the model, text.
        input_type: "uint8" (the default); "float32": the metadata state mean 0 and deviation 1, so that tools pass
            pixels unchanged; or "int8": an input without quantization gets scale 1 and zero point -128, because it
            holds pixels minus 128.

    Returns:
        bytes of the new file.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    image, embedding = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    image.name, embedding.name = b"image", b"embedding"
    if input_type == "int8" and (image.quantization is None or image.quantization.scale is None):
        image.quantization = schema.QuantizationParametersT()
        image.quantization.scale = np.array([1.0], np.float32)
        image.quantization.zeroPoint = np.array([-128], np.int64)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_metadata(name, description, input_type, fixed_batch(image)), np.uint8)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = _AlignedBuilder(len(content) + len(buffer.data) + 1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def fixed_batch(tensor):
    """The number of images that a file's input tensor takes at a time; None if it takes any number."""
    signature = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    return None if signature[0] < 0 else int(signature[0])


class _AlignedBuilder(flatbuffers.Builder):
    """Aligns byte vectors, which hold the weights, to 16 bytes for vector instructions; the generated code does not.

    Equal vectors below 64 KiB, such as the zero points of all channels, are written once.
    """

    def __init__(self, size):
        super().__init__(size)
        self._written = {}

    def CreateNumpyVector(self, x):
        key = (x.dtype.str, x.tobytes()) if x.nbytes < _LONG else None
        if key not in self._written or key is None:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]

    def StartVector(self, elemSize, numElems, alignment):
        return super().StartVector(elemSize, numElems, _ALIGNMENT if elemSize == 1 else alignment)


def _metadata(name, description, input_type, batch):
    """A `ModelMetadata` table as a FlatBuffer."""
    builder = flatbuffers.Builder(1024)
    text = f"{IMAGE_TEXTS[input_type]} {'Any batch size.' if batch is None else f'Batches of {batch}.'}"
    image = _tensor(builder, "image", text, _image_content(builder), _units(builder, input_type))
    vector = _tensor(builder, "embedding", EMBEDDING_TEXT, _content(builder, _FEATURES, _table(builder, {})))
    graph = _table(builder, {2: _vector(builder, [image]), 3: _vector(builder, [vector])})
    texts = ((0, name), (1, description), (2, VERSION), (7, _PARSER_VERSION))
    texts = {slot: builder.CreateString(text) for slot, text in texts}
    root = _table(builder, {**texts, 3: _vector(builder, [graph])})
    builder.Finish(root, _IDENTIFIER)
    return bytes(builder.Output())


IMAGE_TEXTS = {
    "uint8": "RGB pixels 0..255, upright, resized by area averaging.",
    "float32": "RGB pixels 0..255 as they are, upright, resized by area averaging.",
    "int8": "RGB pixels less 128, upright, resized by area averaging.",
}
EMBEDDING_TEXT = "Not normalised: divide by its length, then compare by dot product (cosine)."


def _tensor(builder, name, description, content, units=None):
    fields = {0: builder.CreateString(name), 1: builder.CreateString(description), 3: content, 4: units}
    return _table(builder, {slot: offset for slot, offset in fields.items() if offset is not None})


def _image_content(builder):
    return _content(builder, _IMAGE, _table(builder, {}, {0: _RGB}))


def _content(builder, kind, properties):
    return _table(builder, {1: properties}, {0: kind})


def _units(builder, input_type):
    """How tools preprocess pixels: for float input they must be told not to subtract or divide."""
    if input_type != "float32":
        return None
    mean, deviation = (builder.CreateNumpyVector(np.array([value], np.float32)) for value in (0, 1))
    options = _table(builder, {0: mean, 1: deviation})
    return _vector(builder, [_table(builder, {1: options}, {0: _NORMALIZATION})])


def _table(builder, offsets, numbers=()):
    """A table of offsets (slot -> offset) and small numbers (slot -> uint8)."""
    numbers = dict(numbers)
    builder.StartObject(max([*offsets, *numbers], default=-1) + 1)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, number in numbers.items():
        builder.PrependUint8Slot(slot, number, 0)
    return builder.EndObject()


def _vector(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
