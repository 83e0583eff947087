"""Makes the teacher and the student that the settings describe."""

import keras
import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.models import cost_model, gated_resnet, load_pretrained, with_indicators
from keras_cdd.models.gated_units import gated_units, indicator_kernels
from keras_cdd.models.pretrained.loading import RESCALINGS, read_weights, source_style
from keras_cdd.run_folder.reading import load_model
from keras_cdd.surgery import rebuild
from keras_cdd.surgery.plan import make_plan


def make_teacher(config, dataset):
    """A new network without indicators, with the weights of `--pretrained` if given."""
    network, rescaling, stride_on, arrays = config.network, dataset.rescaling, None, None
    if config.run.pretrained is not None:
        arrays = read_weights(config.run.pretrained)
        style = source_style(arrays)
        rescaling = dataset.rescaling if style == "authors" else RESCALINGS[style]
        stride_on = "conv1" if style == "keras" else None
    teacher = gated_resnet(
        network.backbone,
        width=network.width,
        image_size=tuple(config.data.image_size),
        num_classes=dataset.num_identities,
        embedding_size=network.embedding_size,
        indicators="none",
        stem=network.stem,
        last_stride=network.last_stride,
        pooling=network.pooling,
        rescaling=rescaling,
        stride_on=stride_on,
    )
    if arrays is not None:
        _load_backbone(teacher, arrays)
    return teacher


def make_heavy_student(config, teacher):
    """The teacher's architecture with indicators; its weights follow `--student_init`."""
    heavy = with_indicators(teacher, config.network.indicators)
    if config.run.student_init == "teacher":
        copy_weights(teacher, heavy)
    elif config.run.student_init == "pretrained":
        _load_backbone(heavy, read_weights(config.run.pretrained))
    return heavy


def _load_backbone(model, arrays):
    """Loads the weights, without a classifier for another number of identities."""
    classes = {weight.path: tuple(weight.shape) for weight in model.weights}.get("head_logits/kernel", (0, 0))[1]
    logits = "classifier.classifier.weight"
    load_pretrained(model, {n: a for n, a in arrays.items() if not (n.endswith(logits) and len(a) != classes)})


def copy_weights(source, target):
    """Copies every weight of `source` to the weight of `target` with the same path; other weights are unchanged."""
    places = {weight.path: weight for weight in target.weights}
    for weight in source.weights:
        places[weight.path].assign(weight)


def static_student(heavy, kept, random):
    """Cuts the heavy student to given widths at once.

    Args:
        heavy: gated model.
        kept: path of a `.keras` file of a gated student, whose kept channels are used; or numbers of channels
            separated by commas, one per site.
        random: if True, the weights are newly initialised instead of taken from the heavy model.

    Returns:
        The slim model.

    Raises:
        UserError: if `kept` does not fit the model's sites, or its file cannot be loaded.
    """
    units = gated_units(heavy)
    if kept.endswith(".keras"):
        other = gated_units(load_model(kept, "--kept_filters", "give a student.keras of a run"))
        if other.keys() != units.keys():
            raise UserError(f"--kept_filters={kept} holds a network with other indicators; use the same settings.")
        channels = {site: unit.indicator.output_channels for site, unit in other.items()}
    else:
        counts = [int(count) if count.strip().isdecimal() else 0 for count in kept.split(",")]
        if len(counts) != len(units):
            raise UserError(f"--kept_filters needs {len(units)} numbers, a site each. Received: {len(counts)}")
        channels = {site: range(count) for site, count in zip(units, counts, strict=True)}
    kernels, cut = indicator_kernels(heavy), {}
    for site, kernel in kernels.items():
        if not 1 <= len(channels[site]) <= kernel.shape[1]:
            raise UserError(f"--kept_filters takes 1 to {kernel.shape[1]} channels at {site}. Received: {kept}")
        # Removes whole filters: the plan removes a filter only if its row in the indicator is zero.
        cut[site] = np.asarray(channels[site])
        kernels[site] = kernel * np.isin(np.arange(len(kernel)), cut[site])[:, None]
    importance = {site: np.ones(kernel.shape[1]) for site, kernel in kernels.items()}
    slim = rebuild(heavy, make_plan(cost_model(heavy), kernels, cut, importance))
    return keras.models.clone_model(slim) if random else slim
