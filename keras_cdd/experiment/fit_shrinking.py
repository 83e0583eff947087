"""Plain training that shrinks a model: no teacher, no retrieval, no files."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_cdd.experiment.labelled_batches import labelled_batches, number_of
from keras_cdd.experiment.plain_loop import PlainLoop
from keras_cdd.experiment.task_loss import TaskLoss
from keras_cdd.experiment.validation import Validation
from keras_cdd.models.copies import check_copies
from keras_cdd.models.graph import all_layers, graph_of
from keras_cdd.settings.config import Config, SurgeryConfig, TrainingConfig


def fit_shrinking(
    model: keras.Model,
    data: Any,
    loss: str | Callable[..., Any],
    optimizer: str | keras.optimizers.Optimizer = "adam",
    epochs: int = 10,
    target_macs: float | None = None,
    target_params: float | None = None,
    residual: bool = False,
    importance: str = "fisher",
    num_cuts: int = 16,
    cut_end: float | None = None,
    metrics: Sequence[Any] = (),
    validation_data: Any = None,
    steps_per_epoch: int | None = None,
    batch_size: int = 32,
    verbose: int = 1,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Trains a model while its least important channels leave, to a budget; the rest learns to do without them.

    `model.fit` cannot do this with a callback, since it goes on with the model that it started with. So this function
    has the loop: it fits until enough channels are zero, rebuilds model and optimizer without them, and goes on.

    Args:
        model: functional Keras model or built `Sequential`, gated or not. It is trained in place until the first
            surgery; go on with the model that is returned. Its regularizers count in the loss.
        data: `(x, y)` arrays, or a `tf.data.Dataset` of batches `(x, y)`. For several inputs, `x` is a sequence in
            their order or a dict by their names.
        loss: name of a Keras loss, a `keras.losses.Loss` or a function of labels and outputs that returns a scalar or a
            value per image, which is averaged; labels and outputs are cast as `model.compile` does. For several
            outputs, a `Loss` or function of their structure.
        optimizer: name or optimizer, of those that `keras_cdd.rebuild` carries along; its state goes through every
            surgery. For a model that computes in float16, it is wrapped in a `keras.optimizers.LossScaleOptimizer`.
        epochs: number of epochs; 10 by default.
        target_macs, target_params: fraction of the model's MACs or parameters to keep; exactly one is needed.
        residual: channels that additions join leave together, see `keras_cdd.sites`. Default: False.
        importance: score that ranks the channels, "fisher" (the default) or "norm".
        num_cuts: number of cuts in which the budget is reached; 16 by default.
        cut_end: epoch at which the last channels are gone. Default: half of `epochs`. Cuts start after a tenth of
            `epochs`, or at half of `cut_end` if that is earlier.
        metrics: Keras metrics or their names, for `validation_data`; only for a model with one output.
        validation_data: as `data`, evaluated after every epoch. Default: none.
        steps_per_epoch: batches of a `tf.data.Dataset` in an epoch. Default: all; needed if it has no known length.
        batch_size: for arrays; 32 by default.
        verbose: 1 (the default) prints a line an epoch, 0 nothing.

    Returns:
        `(slim, history)`: the slim model, and name -> list of a value per epoch: `loss`, `macs`, and `val_` of loss and
        metrics. `keras_cdd.fuse(slim)` is its deployed form.

    Raises:
        ValueError: if an argument is invalid, `data` does not fit the model, metrics are given for several outputs or
            without validation data, or the optimizer's state cannot be cut.
        UserError: if the model has no graph, the budget is out of reach, no channel can leave, or a layer with weights
            cannot be restored from its config.
    """
    _check(epochs, target_macs, target_params, importance, num_cuts, cut_end)
    check_copies(graph_of(model))
    task = TaskLoss(loss, model)
    if metrics and not task.single:
        raise ValueError(f"Argument `metrics` must be empty for several outputs. Received: metrics={metrics}")
    if metrics and validation_data is None:
        raise ValueError(f"Argument `metrics` needs `validation_data`, which it is for. Received: metrics={metrics}")
    batches = labelled_batches(data, model, batch_size)
    steps = steps_per_epoch or number_of(batches)
    last_step = round((0.5 * epochs if cut_end is None else cut_end) * steps)
    if last_step < 2:
        raise ValueError(
            "Argument `cut_end` must be at least two steps after the start of the training. "
            f"Received: cut_end={cut_end} with epochs={epochs} of {steps} steps"
        )
    surgery = SurgeryConfig(
        target_macs=target_macs,
        target_params=target_params,
        importance=importance,
        num_cuts=num_cuts,
        cut_start=None if cut_end is None else min(0.1 * epochs, 0.5 * cut_end),
        cut_end=cut_end,
        residual=residual,
    )
    config = Config(training=TrainingConfig(epochs=epochs), surgery=surgery)
    validation = None
    if validation_data is not None:
        validation = Validation(labelled_batches(validation_data, model, batch_size, "validation_data"), task, metrics)
    loop = PlainLoop(config, model, batches, steps, task, validation, verbose)
    return loop.run(model, _scaled(keras.optimizers.get(optimizer), model))


def _scaled(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer, with loss scaling if a layer computes in float16."""
    in_float16 = any(layer.compute_dtype == "float16" for layer in all_layers(model))
    if in_float16 and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _check(
    epochs: int,
    target_macs: float | None,
    target_params: float | None,
    importance: str,
    num_cuts: int,
    cut_end: float | None,
) -> None:
    targets = {"target_macs": target_macs, "target_params": target_params}
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            "Exactly one of the arguments `target_macs` and `target_params` must be given. "
            f"Received: target_macs={target_macs}, target_params={target_params}"
        )
    for name, value in given.items():
        _require(0 < value <= 1, name, "be a fraction above 0 and at most 1", value)
    _require(epochs > 0, "epochs", "be positive", epochs)
    _require(importance in ("fisher", "norm"), "importance", "be 'fisher' or 'norm'", importance)
    _require(num_cuts > 0, "num_cuts", "be positive", num_cuts)
    _require(cut_end is None or 0 < cut_end <= epochs, "cut_end", f"be above 0 and at most epochs={epochs}", cut_end)


def _require(holds: bool, name: str, rule: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"Argument `{name}` must {rule}. Received: {name}={value!r}")
