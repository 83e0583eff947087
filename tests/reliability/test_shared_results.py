"""What runs keep in the cache for others, views of a teacher and times of layers: right after kills and power cuts."""

import tempfile

import keras
import numpy as np
import pytest

from keras_cdd.data.registry import load_dataset
from keras_cdd.data.training_data import TrainingData
from keras_cdd.distill import Distiller
from keras_cdd.evaluation import layer_latency
from keras_cdd.experiment.latency_table import LatencyTable
from keras_cdd.experiment.teacher_views import teacher_views
from keras_cdd.models import gated_resnet
from keras_cdd.models.layer_shapes import LayerShape
from keras_cdd.settings.config import DataConfig
from tests.reliability import tiny_run
from tests.reliability.disk import Recorder, write_tree
from tests.reliability.full_disk import full_at_every_call
from tests.reliability.system_calls import require_watching, watched

VIEWS = 2
LAYERS = [(LayerShape((3, 3), (1, 1), (4, 4)), 8, outputs) for outputs in (8, 16, 24)]
WRITING = """
import logging, pathlib, sys
import numpy as np
from tests.reliability.test_shared_results import {kind} as kind
logging.disable()
values = kind("{photos}")
"""
FULL = """
def prepare(folder):
    pass

def attempt(folder):
    assert np.array_equal(values(folder), values.expected)

def check(folder, failure):
    assert failure is None or isinstance(failure, OSError), repr(failure)
    attempt(folder)
    assert not [path for path in pathlib.Path(folder).rglob("*") if path.suffix in (".part", ".new")]
"""


class Views:
    """A call gives a teacher's rows, which a folder keeps."""

    def __init__(self, photos):
        # In every process its layers have the same names, which are a part of what the rows are kept under.
        keras.backend.clear_session()
        network = {"image_size": (16, 16), "num_classes": 8, "width": 4, "embedding_size": 8, "stem": "small"}
        teacher, student = (gated_resnet("resnet18", indicators=kind, **network) for kind in ("none", "both"))
        for weight in teacher.weights:
            values = np.random.default_rng(weight.shape[-1]).uniform(0.1, 1, weight.shape)
            weight.assign(values / values[..., 0].size)
        self.teacher, self.photos = teacher, photos
        self.rows = Distiller(student, teacher, given_rows=True).teacher_rows
        self.expected = self(None)

    def __call__(self, folder):
        config = DataConfig(
            "folder", self.photos, image_size=(16, 16), identities_per_batch=4, cache_dir=folder, cache_gib=1.0
        )
        data = TrainingData(load_dataset("folder", self.photos), config, seed=0)
        return teacher_views(data, VIEWS, self.teacher, self.rows)


class Times:
    """A call gives the times of layers, which are made up, and which a folder keeps."""

    def __init__(self, photos):
        layer_latency.layers_ms = lambda layers, precision: [1e-3 * outputs for _, _, outputs in layers]
        self.expected = [1e-3 * outputs for _, _, outputs in LAYERS]

    def __call__(self, folder):
        with tempfile.TemporaryDirectory() as workdir:
            return LatencyTable("int8", f"{workdir}/latency.json", folder)(LAYERS)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    require_watching()
    return tiny_run.write_photos(tmp_path_factory.mktemp("shared") / "photos")


KINDS = {"Views": "teacher's views", "Times": "times of layers"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_and_a_power_cut_before_any_write(photos, forks, tmp_path, monkeypatch, tally, kind):
    # `Times` replaces it.
    monkeypatch.setattr(layer_latency, "layers_ms", layer_latency.layers_ms)
    cache, values, found = tmp_path / "cache", globals()[kind](str(photos)), set()
    cache.mkdir()
    recorder = Recorder(cache)
    code = WRITING.format(kind=kind, photos=photos) + "assert np.array_equal(values(sys.argv[1]), values.expected)"
    done = watched(forks, [cache], recorder, "-c", code, str(cache))
    assert not done.returncode, done.stderr
    recorder.look()
    for left in (*recorder.kills, *(left for cuts in recorder.cuts for left in cuts)):
        write_tree(left, tmp_path / "left")
        found.add(len(kept(tmp_path / "left")))
        np.testing.assert_array_equal(values(str(tmp_path / "left")), values.expected)
        assert len(kept(tmp_path / "left")) == 1
    assert found == {0, 1}
    tally(f"cache, {KINDS[kind]}: SIGKILL and power cut before each write", 3 * len(recorder.calls), "right values")


def kept(folder):
    """The whole files of a cache."""
    names = [path for path in folder.rglob("*.*") if path.suffix in (".npy", ".json") and path.name[0] != "."]
    return [path for path in names if path.stat().st_size]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_from_any_write_on(photos, forks, tmp_path, tally, kind):
    (tmp_path / "full").mkdir()
    messages = full_at_every_call(forks, tmp_path / "full", WRITING.format(kind=kind, photos=photos) + FULL)
    assert len(messages) > 3
    tally(f"cache, {KINDS[kind]}: disk full from each write on", len(messages), "not kept, or refused in one line")
