"""The metadata of a file, and that adding them changes nothing else."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from export.conversion.metadata import VERSION, with_metadata
from export.conversion.quantize import to_tflite
from export.proof.runtimes import as_input


@pytest.fixture(scope="module", params=["uint8", "float32", "int8"])
def files(request, network):
    plain = to_tflite(network, "float32", request.param)
    return request.param, plain, with_metadata(plain, "a name", "a description", request.param)


def parsed(content):
    return schema.ModelT.InitFromPackedBuf(content, 0)


def metadata_bytes(content):
    model = parsed(content)
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    return bytes(model.buffers[entry.buffer].data)


def version_of(metadata):
    """The text in the third slot of the root table."""
    root = flatbuffers.table.Table(metadata, int.from_bytes(metadata[:4], "little"))
    return root.String(root.Offset(4 + 2 * 2) + root.Pos)


def test_the_function_stays_the_same(files, photos):
    input_type, plain, described = files
    results = []
    for content in (plain, described):
        run = Interpreter(model_content=content).get_signature_runner()
        results.append(run(image=as_input(photos, np.dtype(input_type)))["embedding"])
    np.testing.assert_array_equal(*results)


def test_tensors_have_names_and_int8_its_offset(files):
    input_type, _, described = files
    interpreter = Interpreter(model_content=described)
    (image,), (embedding,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (image["name"], embedding["name"]) == ("image", "embedding")
    assert image["quantization"] == ((1.0, -128) if input_type == "int8" else (0.0, 0))


def test_metadata_are_a_flatbuffer_with_its_identifier(files):
    input_type, plain, described = files
    found = metadata_bytes(described)
    assert found[4:8] == b"M001"
    assert version_of(found) == VERSION.encode()
    for text in (b"a name", b"a description", b"image", b"embedding", b"1.0.0"):
        assert text in found
    others = [entry.name for entry in parsed(plain).metadata]
    assert [entry.name for entry in parsed(described).metadata] == [*others, b"TFLITE_METADATA"]
    assert len(described) < len(plain) + len(found) + 2000


@pytest.mark.parametrize("batch, words", [(None, b"Any batch size."), (1, b"Batches of 1.")])
def test_the_batch_is_stated(network, batch, words):
    described = with_metadata(to_tflite(network, "float32", batch=batch), "a name", "a description")
    assert words in metadata_bytes(described)


def test_weights_lie_where_vector_instructions_want_them(files):
    _, _, described = files
    model = schema.Model.GetRootAs(described, 0)
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataLength():
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0
