"""The command writes a verified file with its report, or prints one clear line and writes nothing."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from keras_cdd.evaluation import load_embedder
from keras_cdd.settings.config import Config, DataConfig
from keras_cdd.settings.flags import flagfile_text
from tests.export.conftest import SIZE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def export(run_python):
    return lambda *arguments: run_python("-m", "export.to_tflite", *arguments)


def refused(done, *words):
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def workdir(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    network.save(folder / "deploy.keras")
    (folder / "flags.flags").write_text(flagfile_text(Config(data=DataConfig(dataset="synthetic", image_size=SIZE))))
    return folder


COMPILED = """
import sys
import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
path, images, length, answer = sys.argv[1:]
model = CompiledModel.from_file(path)
inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
found = []
for image in np.load(images):
    inputs[0].write(np.ascontiguousarray(image[None]))
    model.run_by_index(0, inputs, outputs)
    found.append(np.array(outputs[0].read(int(length), np.float32)))
np.save(answer, found)
"""


def test_a_file_and_its_report(workdir, export, photos, tmp_path):
    before = set(workdir.iterdir())
    done = export(f"--workdir={workdir}", "--precision=int8", "--max_map_drop=5")
    assert done.returncode == 0, done.stderr
    model, report = workdir / "model_int8.tflite", workdir / "model_int8.json"
    assert set(workdir.iterdir()) == before | {model, report}
    found = json.loads(report.read_text())
    assert found["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (found["model"], found["precision"], found["input_type"]) == ("model_int8.tflite", "int8", "uint8")
    assert found["batch"] == load_embedder(model).batch == 1
    assert found["map_drop"] <= 5 and f"mAP {found['mAP']:.2f}" in done.stdout
    embedder = load_embedder(model)
    np.save(tmp_path / "images.npy", photos[:3])
    given = [str(path) for path in (model, tmp_path / "images.npy", embedder.embedding_size, tmp_path / "found.npy")]
    subprocess.run([sys.executable, "-c", COMPILED, *given], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), embedder(photos[:3]), atol=1e-5)


def test_a_file_of_any_batch(workdir, export):
    done = export(f"--workdir={workdir}", "--precision=float16", "--max_map_drop=5", "--batch=any")
    assert done.returncode == 0, done.stderr
    assert json.loads((workdir / "model_float16.json").read_text())["batch"] == "any"
    assert load_embedder(workdir / "model_float16.tflite").batch is None


def test_a_file_that_loses_too_much_is_not_left(workdir, export):
    for name in ("model_float32.tflite", "model_float32.json"):
        (workdir / name).write_text("of an earlier try")
    before = set(workdir.iterdir())
    done = export(f"--workdir={workdir}", "--precision=float32", "--max_map_drop=-1")
    refused(done, "model_float32.tflite", "--max_map_drop=-1")
    assert {path.name for path in before - set(workdir.iterdir())} == {"model_float32.tflite", "model_float32.json"}
    assert set(workdir.iterdir()) < before


def test_mistakes(workdir, export, tmp_path):
    refused(export(), "--workdir")
    refused(export("--workdir=nowhere"), "nowhere")
    (tmp_path / "flags.flags").write_text((workdir / "flags.flags").read_text())
    refused(export(f"--workdir={tmp_path}"), "deploy.keras")
    (tmp_path / "deploy.keras").write_bytes((workdir / "deploy.keras").read_bytes()[:1000])
    refused(export(f"--workdir={tmp_path}"), "deploy.keras", "loaded")
    assert export("--precision=int3").returncode == 2
