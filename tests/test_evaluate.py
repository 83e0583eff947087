"""The evaluation command on model files and a data set of nine images."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_cdd.data import load_dataset
from keras_cdd.evaluation import Evaluator

SIZE = (6, 4)
METRICS = ("mAP", "mINP", "rank1", "rank5", "rank10")


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory):
    """Three identities of noise, each searched with one image and found in two, the second from afar."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    rows = ["path,identity,camera,split"]
    for identity in range(3):
        looks = rng.integers(0, 256, (*SIZE, 3))
        for number, noise in enumerate((0, 40, 200)):
            pixels = np.clip(looks + rng.integers(-noise, noise + 1, looks.shape), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{identity}_{number}.png")
            rows.append(f"{identity}_{number}.png,{identity},{number},{'gallery' if number else 'query'}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    image = keras.Input((*SIZE, 3))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5, -1)(image))
    return keras.Model(image, keras.layers.Dense(5, name="embedding")(features))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["keras", "tflite"])
def test_the_command_writes_what_the_evaluator_gives(model, csv_file, tmp_path, run_python, suffix):
    path, result = tmp_path / f"m.{suffix}", tmp_path / "out.json"
    model.save(path) if suffix == "keras" else model.export(path, format="litert", verbose=False)
    data = ["--dataset=csv", f"--csv={csv_file}"]
    options = ["--flip"] if suffix == "keras" else ["--rerank"]
    done = run_python("-m", "keras_cdd.evaluate", f"--model={path}", *data, f"--json={result}", *options)
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads(result.read_text())
    dataset = load_dataset("csv", csv=csv_file)
    choice = {"flip": suffix == "keras", "rerank": suffix == "tflite"}
    expected = Evaluator(dataset, SIZE, **choice).evaluate(model).as_percent()
    assert written == {"model": str(path), "dataset": "csv", "gallery_trials": 1, **choice, **expected}
    assert set(expected) == set(METRICS) and 0 < expected["mAP"] < 100
    assert "  ".join(f"{name} {expected[name]:.2f}" for name in METRICS) in done.stdout
    assert sorted(tmp_path.iterdir()) == sorted([path, result])
