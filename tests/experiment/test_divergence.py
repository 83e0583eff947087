"""A run that diverges stops, and says where."""

import keras
import pytest

from keras_cdd.errors import UserError
from keras_cdd.experiment import phase_loop, run_experiment
from keras_cdd.optimization import MomentumSGD
from keras_cdd.settings.config import Config, DataConfig, NetworkConfig, RunConfig, TrainingConfig

pytestmark = pytest.mark.usefixtures("eager", "tiny_backbone")


def run(photos, workdir, **training):
    config = Config(
        DataConfig("folder", str(photos), image_size=(16, 16), identities_per_batch=4, images_per_identity=4),
        NetworkConfig("tiny", width=4, stem="small", embedding_size=8),
        TrainingConfig(epochs=2, teacher_epochs=2, warmup_epochs=0.0, **training),
        run=RunConfig(str(workdir), student="heavy"),
    )
    return run_experiment(config, "")


@pytest.mark.parametrize("rate", ["learning_rate", "teacher_learning_rate"])
def test_the_step_the_loss_and_the_rate_are_named_and_nothing_is_saved(photos, tmp_path, rate):
    said = rf"teacher epoch 1, a loss is not finite since step \d: .*identity.* no checkpoint yet. Lower --{rate}, or"
    with pytest.raises(UserError, match=said):
        run(photos, tmp_path, **{rate: 1e30})
    assert not (tmp_path / "metrics.jsonl").exists() and not (tmp_path / "checkpoints/teacher").exists()


def test_overflows_without_end_are_named(photos, tmp_path, monkeypatch):
    def endless(*_):
        return keras.optimizers.LossScaleOptimizer(MomentumSGD(0.01), initial_scale=float("inf"))

    monkeypatch.setattr(phase_loop, "make_optimizer", endless)
    with pytest.raises(UserError, match="All steps of teacher epoch 1 overflowed in float16"):
        run(photos, tmp_path)
