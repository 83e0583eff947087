"""The numbers in a file's report are those of the file."""

import hashlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from export.conversion import quantize
from export.proof.inspection import inspect
from export.proof.runtimes import as_input, embed_with, latency_ms, likeness, runtime_versions
from export.proof.verify import Verifier
from keras_cdd.data import RetrievalDataset, load_dataset
from keras_cdd.evaluation import Evaluator, load_embedder
from tests.export.conftest import LENGTH, SIZE, cosines


@pytest.fixture(scope="module")
def dataset():
    whole = load_dataset("synthetic")
    return RetrievalDataset("part", whole.train[:4], whole.query[:12], whole.gallery[:36])


@pytest.mark.slow
def test_a_report_tells_what_the_file_does(network, dataset, tiny_tflite):
    report = Verifier(network, dataset, SIZE).measure(tiny_tflite)
    content = tiny_tflite.read_bytes()
    assert report["sha256"] == hashlib.sha256(content).hexdigest() and report["bytes"] == len(content)
    evaluator = Evaluator(dataset, SIZE)
    metrics, keras_metrics = (evaluator.evaluate(m).as_percent() for m in (load_embedder(tiny_tflite), network))
    assert {name: report[name] for name in metrics} == metrics and report["keras"] == keras_metrics
    assert report["map_drop"] == round(keras_metrics["mAP"] - metrics["mAP"], 3)
    assert 0.9 < report["cosine_min"] <= report["cosine_mean"] <= 1
    assert report["embedding_size"] == LENGTH and (report["image_height"], report["image_width"]) == SIZE
    assert report["ops_not_quantized"] == {} and report["operators"]["CONV_2D"] == 6
    assert set(report["latency_ms"]) == {"1_thread", "2_threads"} and min(report["latency_ms"].values()) > 0
    assert len(report["runtimes"]) == len(runtime_versions())
    for alike in report["runtimes"].values():
        assert alike["identical"]


@pytest.mark.parametrize("package", list(runtime_versions()))
def test_every_runtime_runs_the_file(network, photos, tiny_tflite, package):
    found = embed_with(package, tiny_tflite, photos)
    expected = network.predict(photos.astype(np.float32), verbose=0)["embedding"]
    assert found.shape == expected.shape and cosines(found, expected).min() > 0.99


WITH_ONE_RUNTIME = """
import sys
from export.plain_command import without_keras
without_keras()
sys.modules["ai_edge_litert"] = None
import numpy as np
from keras_cdd.evaluation import load_embedder
model, images, output = sys.argv[1:]
embedder, images = load_embedder(model), np.load(images)
np.save(output, np.concatenate([embedder(part) for part in (images[:1], images[1:8], images[8:])]))
"""


def test_without_ai_edge_litert_all_stays_the_same(photos, tiny_tflite, tmp_path):
    if "tflite-runtime" not in runtime_versions():
        pytest.skip("tflite-runtime is not there: it has no wheel for this system")
    np.save(tmp_path / "images.npy", photos)
    files = [tiny_tflite, tmp_path / "images.npy", tmp_path / "found.npy"]
    subprocess.run([sys.executable, "-c", WITH_ONE_RUNTIME, *map(str, files)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), load_embedder(tiny_tflite)(photos))


@pytest.mark.parametrize("package", list(runtime_versions()))
def test_a_file_that_xnnpack_refuses_runs(photos, tmp_path, monkeypatch, package):
    """It has a shape that is known at run time only."""
    monkeypatch.setattr(quantize, "_without_computed_shapes", lambda model: model)
    image = keras.Input((*SIZE, 3))
    pixels = keras.layers.Reshape((SIZE[0] * SIZE[1], 3))(image)
    model = keras.Model(image, keras.layers.GlobalAveragePooling1D()(pixels))
    path = tmp_path / "reshaping.tflite"
    path.write_bytes(quantize.to_tflite(model, "float32"))
    assert "SHAPE" in inspect(path.read_bytes()).operators
    np.testing.assert_allclose(embed_with(package, path, photos), photos.mean((1, 2)), rtol=1e-5)


def test_a_damaged_file_is_named(tiny_tflite, photos, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(tiny_tflite.read_bytes()[:200])
    with pytest.raises(ValueError, match="broken.tflite does not run on ai-edge-litert"):
        embed_with("ai-edge-litert", broken, photos)


def test_likeness_counts_changed_neighbours():
    expected = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]])
    same = {"cosine_min": 1.0, "same_nearest": 100.0, "similarity_lost": 0.0}
    assert likeness(expected, expected) == {"identical": True, **same}
    assert likeness(expected, 3 * expected) == {"identical": False, **same}
    # The second and the third change places: the first and the last find another, the first at a cosine of 0 for 0.8.
    assert likeness(expected, expected[[0, 2, 1, 3]]) == {
        "identical": False,
        "cosine_min": 0.6,
        "same_nearest": 50.0,
        "similarity_lost": 0.8,
    }


def test_int8_pixels_are_128_less():
    pixels = np.array([0, 127, 128, 255], np.uint8)
    assert as_input(pixels, np.int8).tolist() == [-128, -1, 0, 127]
    assert as_input(pixels, np.float32).tolist() == [0, 127, 128, 255]


def test_latency_is_a_median_of_milliseconds(tiny_tflite):
    assert 0 < latency_ms(tiny_tflite, threads=1, seconds=0.01) < 1000
