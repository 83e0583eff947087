"""The cut of a static student says what the heavy student was, and whole runs make use of it."""

import json

import keras
import pytest

from keras_cdd.errors import UserError
from keras_cdd.experiment import run_experiment
from keras_cdd.experiment.phase_loop import PhaseLoop
from keras_cdd.experiment.static_cut import StaticCut
from keras_cdd.layers import embedding_head
from keras_cdd.models import count_macs, count_params, gated_resnet
from keras_cdd.settings.config import (
    CompressionConfig,
    Config,
    DataConfig,
    NetworkConfig,
    RunConfig,
    TrainingConfig,
)
from keras_cdd.surgery import fuse
from tests.experiment.conftest import tiny_stock


@pytest.fixture(scope="module")
def stock():
    """Sites of 8, 16 and 12 channels."""
    backbone = tiny_stock((16, 16))
    return keras.Model(backbone.input, embedding_head(backbone.output, 4, num_classes=3))


def test_the_cut_knows_the_heavy_student(stock):
    cut = StaticCut(stock, "3,5,7")
    kept = {"expand0": [0, 1, 2], "expand1": [0, 1, 2, 3, 4], "top": list(range(7))}
    heavy = {"macs": count_macs(stock), "num_params": count_params(stock)}
    assert cut.record() == {"heavy": heavy, "kept_channels": kept}
    found = cut.sites(cut.applied(stock))
    assert {name: (site.channels, site.full_channels) for name, site in found.items()} == {
        "expand0": (3, 8),
        "expand1": (5, 16),
        "top": (7, 12),
    }


def test_a_static_student_can_take_its_widths_from_another(stock, tmp_path):
    cut = StaticCut(stock, "3,5,7")
    cut.applied(stock).save(tmp_path / "student.keras")
    (tmp_path / "channels.json").write_text(json.dumps(cut.record()))
    assert StaticCut(stock, str(tmp_path / "student.keras")).record() == cut.record()


@pytest.mark.parametrize("residual", [False, True])
def test_outer_widths_count_as_those_of_the_heavy_student(residual, tiny_backbone):
    heavy = gated_resnet(tiny_backbone, width=4, image_size=(16, 16), embedding_size=4, stem="small", num_classes=3)
    cut = StaticCut(heavy, ",".join("2" * (4 if residual else 2)), residual)
    assert cut.record()["heavy"] == {"macs": count_macs(fuse(heavy)), "num_params": count_params(fuse(heavy))}
    assert bool(cut.kept_channels) == residual
    assert count_macs(cut.applied(heavy)) < count_macs(heavy)


def config_of(photos, workdir, **settings):
    settings = {"run": RunConfig(str(workdir), student="static", kept_filters="3,5,7")} | settings
    return Config(
        data=DataConfig("folder", str(photos), image_size=(16, 16), identities_per_batch=4),
        training=TrainingConfig(epochs=1, teacher_epochs=1, warmup_epochs=0.0, learning_rate=0.01),
        **{"network": NetworkConfig("tiny_stock", embedding_size=8)} | settings,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("eager", "stock_backbone")
def test_a_run_compares_features_and_counts_from_the_heavy_student(photos, tmp_path, monkeypatch):
    compared, made = [], PhaseLoop._distiller

    def noting(self, *args):
        distiller = made(self, *args)
        if self.name == "student":
            compared.append((distiller._pairs.names, distiller._pairs._kept))
        return distiller

    monkeypatch.setattr(PhaseLoop, "_distiller", noting)
    summary = run_experiment(config_of(photos, tmp_path), "")
    heavy = keras.saving.load_model(tmp_path / "teacher.keras")
    assert summary["macs_saved"] == pytest.approx(100 * (1 - summary["deploy"]["macs"] / count_macs(heavy)), abs=1e-3)
    params_left = summary["deploy"]["num_params"] / count_params(heavy)
    assert summary["params_saved"] == pytest.approx(100 * (1 - params_left), abs=1e-3)
    names = ["expand0", "expand1", "top"]
    assert compared == [(names, dict(zip(names, map(list, map(range, (3, 5, 7))), strict=True)))]
    record = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["stage"] == "student" and record["feature_loss"] > 0


@pytest.mark.usefixtures("eager", "stock_backbone")
@pytest.mark.parametrize(
    "settings, words",
    [
        ({"compression": CompressionConfig(compression="lasso")}, "--compression acts on indicators"),
        ({"compression": CompressionConfig(gradient_reset_epoch=0.0)}, "--gradient_reset_epoch acts on indicators"),
        ({"run": {"student": "static", "kept_filters": "3,5"}}, "--kept_filters needs 3 numbers"),
    ],
)
def test_a_student_that_does_not_fit_is_refused_before_the_teacher_is_trained(photos, tmp_path, settings, words):
    run = RunConfig(str(tmp_path), **settings.pop("run", {}))
    with pytest.raises(UserError, match=words):
        run_experiment(config_of(photos, tmp_path, run=run, **settings), "")
    assert not (tmp_path / "checkpoints").exists() and not (tmp_path / "teacher.keras").exists()
