"""Makes the teacher and the student that the settings describe."""

import json
import pathlib

import keras
import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.experiment.given_models import flat, load_student_model, with_training_outputs
from keras_cdd.experiment.pca_head import start_by_pca
from keras_cdd.experiment.weight_paths import weights_by_layer
from keras_cdd.models import cost_model, gate_model, gated_resnet, load_pretrained, retrieval_model, with_indicators
from keras_cdd.models.backbones import STOCK_BACKBONES
from keras_cdd.models.gated_units import gated_blocks
from keras_cdd.models.pretrained.imagenet import imagenet_weights
from keras_cdd.models.pretrained.loading import RESCALINGS, read_weights, source_style
from keras_cdd.models.pretrained.same_names import steady_names
from keras_cdd.models.sites import cut_sites
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.reading import load_model
from keras_cdd.surgery import rebuild
from keras_cdd.surgery.channels import Channels
from keras_cdd.surgery.plan import make_plan


def make_teacher(config, dataset, sample=None):
    """A new network without indicators, with the weights of `--pretrained` if given.

    Without a `--backbone`, it is a copy of the `--student_model`.

    Args:
        config: `Config`.
        dataset: `RetrievalDataset`.
        sample: function without arguments that returns training images (N, H, W, 3) in 0..255. With it, a new linear
            head on given weights starts by `start_by_pca`; by default, at random.
    """
    if config.run.student_model is not None and config.network.backbone is None:
        return _student_model(config, dataset, sample)
    return make_network(config, dataset, sample)


def make_network(config, dataset, sample=None):
    """The network of `--backbone`, without indicators; arguments as in `make_teacher`."""
    network = config.network
    arrays, rescaling, stride_on = _initial_weights(config, dataset)
    shape = {
        "image_size": tuple(config.data.image_size),
        "num_classes": dataset.num_identities,
        "embedding_size": network.embedding_size,
        "pooling": network.pooling,
        "rescaling": rescaling,
        "head": config.head,
    }
    if network.any_backbone in STOCK_BACKBONES:
        model = retrieval_model(network.any_backbone, **shape)
    else:
        model = gated_resnet(
            network.any_backbone,
            **shape,
            width=network.width,
            indicators="none",
            stem=network.stem,
            last_stride=network.last_stride,
            stride_on=stride_on,
        )
    if arrays is not None:
        _load_backbone(model, arrays, config.head, sample)
    return model


def _initial_weights(config, dataset):
    """`(arrays, rescaling, stride_on)` of `--pretrained`; without it, no arrays and the backbone's own values."""
    backbone, source = config.network.any_backbone, config.run.pretrained
    is_stock = backbone in STOCK_BACKBONES
    own = None if is_stock and not dataset.inverted else dataset.rescaling
    if source is None:
        return None, own, None
    if source == "imagenet":
        weights = imagenet_weights(backbone)
        return weights.arrays, weights.rescaling, weights.stride_on
    arrays = read_weights(source)
    style = None if is_stock else _style(arrays)
    known = style not in (None, "authors")
    return arrays, RESCALINGS[style] if known else own, "conv1" if style == "keras" else None


def _style(arrays):
    try:
        return source_style(arrays)
    except UserError:
        # They may have the paths of the network itself, which `load_pretrained` finds out.
        return None


def _student_model(config, dataset, sample):
    network = config.network
    size, classes = tuple(config.data.image_size), dataset.num_identities
    head = (network.embedding_size, network.pooling, config.head)
    return load_student_model(config.run.student_model, size, classes, *head, sample)


def student_architecture(config, dataset, teacher, sample=None):
    """The network that the student starts as, and the one whose weights it starts with.

    The student is a copy of the teacher, unless there is none, or `--student_model`, or `--backbone` beside
    `--teacher`, say otherwise.

    Args:
        config: `Config`.
        dataset: `RetrievalDataset`.
        teacher: the teacher, or None with `--teacher_embeddings`.
        sample: as in `make_teacher`.

    Returns:
        `(heavy, source)`: the student with indicators where it has gated blocks, its weights newly initialised; and a
        model with the weights for `--student_init=teacher`: the teacher if it has the student's architecture.
    """
    source = teacher
    if config.run.student_model is not None:
        source = _student_model(config, dataset, sample)
    elif teacher is None or config.run.teacher is not None and config.network.backbone is not None:
        source = make_network(config, dataset, sample)
    if teacher is not None and source is not teacher and same_architecture(source, teacher):
        source = teacher
    plain = with_training_outputs(flat(source), dataset.num_identities)
    heavy = with_indicators(plain, config.network.indicators)
    if not heavy.trainable_variables:
        # Copied from a frozen teacher. Not `heavy.trainable = True`: it is, so Keras would do nothing.
        for layer in heavy.layers:
            layer.trainable = True
    return heavy, plain


def make_heavy_student(config, dataset, teacher, sample=None):
    """The student before it is cut; its weights follow `--student_init`. Arguments as in `student_architecture`."""
    heavy, source = student_architecture(config, dataset, teacher, sample)
    if config.run.student_init == "pretrained" and config.run.student_model is None:
        _load_backbone(heavy, _initial_weights(config, dataset)[0], config.head, sample)
    elif config.run.student_init != "random":
        copy_weights(source, heavy)
    return indicated(heavy, config)


def indicated(heavy, config):
    """The student with the indicators of `--indicator` at its sites; the same model if it has gated blocks."""
    if config.network.indicator == "none" or gated_blocks(heavy):
        return heavy
    return gate_model(heavy, indicator=config.network.indicator, residual=config.surgery.residual)


def same_architecture(one, other):
    """Whether two networks have the same weights, by path and shape, except for their `logits`."""
    return _signature(one) == _signature(other)


def _signature(model):
    shapes = {
        path: tuple(weight.shape) for path, weight in weights_by_layer(flat(model)).items() if "logits" not in path
    }
    return {name: shapes[path] for path, name in steady_names(shapes).items()}


def _load_backbone(model, arrays, head, sample):
    """Loads the weights, without a classifier for another number of identities; starts a linear head without any."""
    classes = {weight.path: tuple(weight.shape) for weight in model.weights}.get("head_logits/kernel", (0, 0))[1]
    # The classes are the rows in the authors' layout, the columns in ours.
    axes = {"classifier.classifier.weight": 0, "head_logits/kernel": 1}

    def is_other(name, array):
        return any(name.endswith(logits) and array.shape[axis] != classes for logits, axis in axes.items())

    missing = load_pretrained(model, {name: array for name, array in arrays.items() if not is_other(name, array)})
    if head == "linear" and sample is not None and "head_dense/kernel" in missing:
        start_by_pca(model, sample())


def copy_weights(source, target):
    """Copies every weight of `source` to the weight of `target` with the same path; other weights are unchanged."""
    places = weights_by_layer(target)
    for path, weight in weights_by_layer(source).items():
        places[path].assign(weight)
    for layer in target.layers:
        if hasattr(layer, "finalize_state"):
            # Normalization keeps the values that it divides by outside its weights.
            layer.finalize_state()


def static_student(heavy, kept, random, residual=False):
    """Cuts the heavy student to given widths at once.

    Args:
        heavy: functional model, gated or not.
        kept: path of a `student.keras` of a run, whose kept channels are used; or numbers of channels separated by
            commas, one per site.
        random: if True, the weights are newly initialised instead of taken from the heavy model.
        residual: whether outer widths are sites, too. Default: False.

    Returns:
        The slim model.

    Raises:
        UserError: if `kept` does not fit the model's sites, or its file cannot be loaded.
    """
    found = cut_sites(heavy, residual)
    channels = _kept_by_run(found, kept, residual) if kept.endswith(".keras") else _first_ones(found, kept)
    cut, kernels = {}, Channels(heavy, found).dense_kernels()
    for name, site in found.items():
        if not 1 <= len(channels[name]) <= site.channels:
            raise UserError(f"--kept_filters takes 1 to {site.channels} channels at {name}. Received: {kept}")
        cut[name] = np.asarray(channels[name])
        if name in kernels:
            # Removes whole filters: the plan removes a filter only if its row in the indicator is zero.
            kernels[name] = kernels[name] * np.isin(np.arange(len(kernels[name])), cut[name])[:, None]
    importance = {name: np.ones(site.channels) for name, site in found.items()}
    plan = make_plan(cost_model(heavy, sites=found), kernels, cut, importance, residual=residual)
    slim = rebuild(heavy, plan)
    return keras.models.clone_model(slim) if random else slim


def _kept_by_run(found, path, residual):
    """Site -> channels of the uncut network that a run kept: its indicators know them, else its `channels.json`."""
    other = cut_sites(load_model(path, "--kept_filters", "give a student.keras of a run"), residual)
    beside = pathlib.Path(path).with_name(layout.CHANNELS)
    known = json.loads(beside.read_text())["kept_channels"] if beside.exists() else {}
    known = {name: known[name] for name in known.keys() & other.keys()}
    known |= {name: other.indicator(name).output_channels for name in other.kernels()}
    if known.keys() != found.keys():
        raise UserError(
            f"--kept_filters={path} holds a network with other sites or indicators; use the settings of its run."
        )
    return known


def _first_ones(found, kept):
    counts = [int(count) if count.strip().isdecimal() else 0 for count in kept.split(",")]
    if len(counts) != len(found):
        raise UserError(f"--kept_filters needs {len(found)} numbers, a site each. Received: {len(counts)}")
    return {name: range(count) for name, count in zip(found, counts, strict=True)}
