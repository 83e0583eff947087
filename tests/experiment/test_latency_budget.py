"""Whole runs to a budget of milliseconds: they land on it, and a resumed one plans with the times of its start."""

import json
import shutil

import pytest

from keras_cdd.evaluation import layer_latency
from keras_cdd.experiment import phase_loop, run_experiment
from keras_cdd.experiment.latency_table import LatencyTable
from keras_cdd.models import gated_resnet
from keras_cdd.models.layer_shapes import LayerShape
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig, SurgeryConfig, TrainingConfig
from tests.experiment.same_run import assert_same_run, logged

EPOCHS = 2
LAYERS = [(LayerShape((3, 3), (1, 1), (4, 4)), 8, outputs) for outputs in (8, 16)]


def made_up(factor):
    """Every layer takes a microsecond a pair of channels, and `factor` in all."""

    def layers_ms(layers, precision):
        return [factor * (0.01 + 1e-3 * inputs * outputs) for _, inputs, outputs in layers]

    return layers_ms


@pytest.mark.slow
@pytest.mark.usefixtures("eager", "without_pictures")
def test_a_run_lands_on_its_milliseconds_and_resumes_with_the_same_times(
    photos, tiny_backbone, tmp_path, monkeypatch, capsys
):
    network = {"width": 8, "embedding_size": 8, "stem": "small"}
    teacher = gated_resnet(tiny_backbone, image_size=(16, 16), num_classes=8, indicators="none", **network)
    teacher.save(tmp_path / "teacher.keras")
    workdir, killed = tmp_path / "whole", tmp_path / "killed"
    epoch_end = phase_loop.PhaseLoop.epoch_end

    def copying(self, distiller, epoch):
        epoch_end(self, distiller, epoch)
        if epoch == 1 and self.workdir.path == workdir:
            shutil.copytree(workdir, killed)

    def run(folder, target=0.7):
        config = Config(
            DataConfig(
                "folder",
                str(photos),
                image_size=(16, 16),
                identities_per_batch=4,
                images_per_identity=4,
                cache_dir=str(tmp_path / f"cache of {folder.name}"),
            ),
            NetworkConfig(tiny_backbone, **network),
            TrainingConfig(epochs=EPOCHS, warmup_epochs=0.0, learning_rate=0.01, deterministic=True),
            surgery=SurgeryConfig(target_ms=target, num_cuts=2, cut_start=0.0, cut_end=1.5, pad_channels=1),
            run=RunConfig(str(folder), teacher=str(tmp_path / "teacher.keras"), evaluate_teacher=False),
        )
        return run_experiment(config, "")

    monkeypatch.setattr(phase_loop.PhaseLoop, "epoch_end", copying)
    monkeypatch.setattr(layer_latency, "layers_ms", made_up(1))
    with pytest.raises(ValueError, match="still costs .* ms.*target_ms=0.1"):
        run(workdir, target=0.1)
    run(workdir)
    times = [line["ms"] for line in logged(workdir, "metrics.jsonl")]
    assert 0.6 < times[-1] <= 0.7 < times[0] < json.loads((workdir / "channels.json").read_text())["heavy"]["ms"]
    assert {line["measure"] for line in logged(workdir, "cuts.jsonl")} == {"ms"}
    assert "-> 0.7 ms" in capsys.readouterr().out
    monkeypatch.setattr(layer_latency, "layers_ms", made_up(2))
    run(killed)
    assert_same_run(killed, workdir)


def test_times_are_measured_once_for_all_runs_with_a_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(layer_latency, "layers_ms", made_up(1))
    first = LatencyTable("int8", tmp_path / "first.json", tmp_path / "cache")(LAYERS)
    monkeypatch.setattr(layer_latency, "layers_ms", made_up(2))
    assert LatencyTable("int8", tmp_path / "second.json", tmp_path / "cache")(LAYERS) == first
    assert LatencyTable("int8", tmp_path / "first.json")(LAYERS) == first
    for other in (
        LatencyTable("float32", tmp_path / "third.json", tmp_path / "cache"),
        LatencyTable("float32", tmp_path / "first.json"),
        LatencyTable("int8", tmp_path / "fourth.json"),
    ):
        assert other(LAYERS) == [2 * ms for ms in first]


@pytest.mark.parametrize("content", ["", "[1]", '{"precision": "int8"}', '{"precision": "int8", "ms": 3}'])
def test_a_damaged_cache_is_measured_anew(content, tmp_path, monkeypatch):
    monkeypatch.setattr(layer_latency, "layers_ms", made_up(1))
    expected = LatencyTable("int8", tmp_path / "first.json", tmp_path)(LAYERS)
    (path,) = (tmp_path / "latency").iterdir()
    path.write_text(content)
    assert LatencyTable("int8", tmp_path / "second.json", tmp_path)(LAYERS) == expected
    assert len(json.loads(path.read_text())["ms"]) == len(LAYERS)
