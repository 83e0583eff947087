"""A run of version 0.1.0 is read: resumed, evaluated, searched, reported. One of another version is refused by name."""

import json
import pathlib
import zipfile

import pytest

from export.gallery.embedding_model import EmbeddingModel
from export.gallery.gallery import Gallery
from export.gallery.search import top_k
from keras_cdd.data import load_image
from keras_cdd.errors import UserError
from keras_cdd.evaluation import Evaluator
from keras_cdd.experiment import run_experiment
from keras_cdd.experiment.latency import latency_ms
from keras_cdd.report.page import write_report
from keras_cdd.run_folder.checkpoint import load_checkpoint
from keras_cdd.run_folder.reading import RunFiles
from keras_cdd.run_folder.workdir import Workdir
from keras_cdd.settings.flags import flagfile_text

KEPT = pathlib.Path(__file__).resolve().parents[1] / "data/run_0_1_0/runs.zip"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The kept runs, unpacked; the paths in their settings are relative to this folder."""
    with zipfile.ZipFile(KEPT) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_the_stopped_run_goes_on(kept, monkeypatch):
    """It does what is left: the epochs, sites and figures of the run that was finished then."""
    monkeypatch.setattr(latency_ms, "__defaults__", (1,))
    config = RunFiles("stopped").config
    assert len((kept / "stopped/metrics.jsonl").read_text().splitlines()) == 1
    run_experiment(config, flagfile_text(config))
    resumed, then = RunFiles("stopped"), RunFiles("finished")
    assert [record["epoch"] for record in resumed.epochs] == [1, 2, 3]
    assert resumed.summary["deploy"].keys() == then.summary["deploy"].keys()
    assert resumed.surgeries[0]["kept_filters_after"].keys() == then.surgeries[0]["kept_filters_after"].keys()


def test_the_finished_run_is_evaluated_and_reported(kept):
    run = RunFiles("finished")
    evaluator = Evaluator(run.dataset, run.image_size)
    for name in ("teacher", "student", "deploy"):
        assert evaluator.evaluate(run.model(name)).mAP == pytest.approx(run.summary[name]["mAP"] / 100, abs=0.2)
    assert list(run.exported) == ["model_int8.tflite"]
    write_report(kept / "finished")
    assert "model_int8.tflite" in (kept / "finished/report.html").read_text()


def test_its_gallery_is_searched(kept):
    model = EmbeddingModel("finished/model_int8.tflite")
    with Gallery("gallery.sqlite") as gallery:
        model.vouch(gallery)
        vectors = gallery.check().vectors()
        path = gallery.images(vectors.ids[:1])[0].path
        positions, similarities = top_k(vectors, model.embed(load_image(path, model.image_size)[None]), 1)
    assert positions[0, 0] == 0 and similarities[0, 0] > 0.99


def newer(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))


def test_a_newer_run_is_refused_by_name_with_the_way_out(kept):
    newer(kept / "stopped/environment.json")
    words = "--workdir stopped is of version 2, and this program reads version 1; continue with the keras_cdd"
    with pytest.raises(UserError, match=words):
        RunFiles("stopped")
    settings = (kept / "stopped/flags.flags").read_text()
    with pytest.raises(UserError, match=f"{words} .*--noresume"):
        Workdir("stopped", settings)
    Workdir("stopped", settings, resume=False).close()


def test_a_newer_checkpoint_is_refused_by_name_with_the_way_out(kept):
    folder = kept / "stopped/checkpoints/student"
    newer(folder / "state.json")
    with pytest.raises(UserError, match="Checkpoint .*student is of version 2, and .*; continue .* or remove it"):
        load_checkpoint(folder)


def test_what_does_not_state_its_version_is_of_the_first(kept):
    folder = kept / "stopped/checkpoints/student"
    state = json.loads((folder / "state.json").read_text())
    assert state.pop("version") == 1
    (folder / "state.json").write_text(json.dumps(state))
    assert load_checkpoint(folder)[2] == state
