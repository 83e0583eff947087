"""The evaluation command on model files and a data set of nine images."""

import json
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from keras_cdd.data import load_dataset
from keras_cdd.evaluation import Evaluator
from keras_cdd.models import gated_resnet
from keras_cdd.report.headline import headline
from keras_cdd.run_folder.reading import RunFiles
from keras_cdd.settings.config import Config, DataConfig
from keras_cdd.settings.flags import flagfile_text
from tests.tiny_backbone import add_tiny

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


@pytest.fixture(scope="module")
def teacher():
    """Embeds images of twice the size, in the same number of values."""
    keras.utils.set_random_seed(1)
    image = keras.Input((2 * SIZE[0], 2 * SIZE[1], 3))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5, -1)(image))
    return keras.Model(image, keras.layers.Dense(5)(features))


@pytest.mark.slow
@pytest.mark.parametrize("gallery", ["model", "embeddings"])
def test_the_queries_of_one_model_are_searched_in_the_gallery_of_another(
    model, teacher, csv_file, tmp_path, run_python, gallery
):
    model.save(tmp_path / "m.keras")
    teacher.save(tmp_path / "teacher.keras")
    dataset = load_dataset("csv", csv=csv_file)
    evaluator = Evaluator(dataset, SIZE, gallery_size=(12, 8))
    if gallery == "embeddings":
        names = [pathlib.Path(record.path).name for record in dataset.gallery]
        embedding = evaluator.embeddings(model, teacher)[1]
        np.savez(tmp_path / "gallery.npz", path=[*names[::-1], "more.png"], embedding=[*embedding[::-1], np.ones(5)])
    flag = f"--gallery_{gallery}={tmp_path / ('teacher.keras' if gallery == 'model' else 'gallery.npz')}"
    data = ["--dataset=csv", f"--csv={csv_file}", f"--json={tmp_path / 'out.json'}"]
    done = run_python("-m", "keras_cdd.evaluate", f"--model={tmp_path / 'm.keras'}", flag, *data)
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads((tmp_path / "out.json").read_text())
    expected = evaluator.evaluate(model, teacher).as_percent()
    assert {name: written[name] for name in METRICS} == expected
    assert expected != Evaluator(dataset, SIZE).evaluate(model).as_percent()
    assert written[f"gallery_{gallery}"] == flag.partition("=")[2]


@pytest.fixture
def workdir(csv_file, tmp_path):
    """A finished run on the same images, without its models."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = Config(data=DataConfig(dataset="csv", csv=str(csv_file), image_size=(12, 8)))
    (folder / "flags.flags").write_text(flagfile_text(config))
    figures = {"mAP": 50.0, "mINP": 20.0, "rank1": 60.0, "num_params": 7, "macs": 9}
    summary = {name: figures for name in ("teacher", "student", "deploy")}
    (folder / "summary.json").write_text(json.dumps(summary | {"macs_saved": 10.0, "params_saved": 10.0}))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["keras", "tflite"])
def test_a_model_from_elsewhere_becomes_a_row_of_a_run(model, csv_file, workdir, tmp_path, run_python, suffix):
    path = tmp_path / f"foreign.{suffix}"
    model.save(path) if suffix == "keras" else model.export(path, format="litert", verbose=False)
    for _ in range(2):
        done = run_python("-m", "keras_cdd.evaluate", f"--model={path}", f"--workdir={workdir}")
        assert (done.returncode, done.stderr) == (0, "")
    run = RunFiles(workdir)
    (record,) = run.evaluations
    expected = Evaluator(load_dataset("csv", csv=csv_file), SIZE).evaluate(model).as_percent()
    assert {name: record[name] for name in METRICS} == expected
    assert record["bytes"] == path.stat().st_size and record["latency_ms"] > 0
    assert (record["dataset"], record["model"]) == ("csv", str(path))
    # 6 x 4 x 3 pixels to 5 numbers.
    assert record.get("num_params") == (365 if suffix == "keras" else None)
    row = {cell.name: cell.value for cell in headline(run)[f"foreign.{suffix}, 6 × 4"]}
    assert row == {name: record.get(name) for name in row} and row["mAP"] == expected["mAP"]
    page = (workdir / "report.html").read_text()
    assert f'data-row="foreign.{suffix}, 6 × 4"' in page and "what you would have without training" in page


@pytest.mark.slow
def test_a_backbone_with_its_weights_becomes_a_row_of_a_run(csv_file, workdir, tmp_path, run_python, monkeypatch):
    add_tiny(monkeypatch.setitem)
    keras.utils.set_random_seed(0)
    network = gated_resnet("tiny", image_size=(12, 8), indicators="none")
    network.save(tmp_path / "weights.keras")
    flags = [f"--pretrained={tmp_path / 'weights.keras'}", f"--workdir={workdir}"]
    done = run_python("-m", "keras_cdd.evaluate", "--model=tiny", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    run = RunFiles(workdir)
    (record,) = run.evaluations
    pooled = keras.Model(network.input, network.output["features"])
    expected = Evaluator(load_dataset("csv", csv=csv_file), (12, 8)).evaluate(pooled).as_percent()
    assert {name: record[name] for name in METRICS} == pytest.approx(expected, abs=0.01)
    assert record["bytes"] > 4 * record["num_params"] > 1e6 and record["latency_ms"] > 0
    row = {cell.name: cell.value for cell in headline(run)[f"tiny, {tmp_path}/weights.keras"]}
    assert row["mAP"] == record["mAP"]
    assert 'data-row="tiny, ' in (workdir / "report.html").read_text()
