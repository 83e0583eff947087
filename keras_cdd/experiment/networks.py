"""Makes the teacher and the student that the settings describe."""

from keras_cdd.errors import UserError
from keras_cdd.experiment.given_models import flat, load_student_model, with_training_outputs
from keras_cdd.experiment.pca_head import start_by_pca
from keras_cdd.experiment.weight_paths import weights_by_layer
from keras_cdd.layers.embedding_head import is_in_head
from keras_cdd.models import gate_model, gated_resnet, load_pretrained, retrieval_model, with_indicators
from keras_cdd.models.backbones import STOCK_BACKBONES
from keras_cdd.models.gated_units import gated_blocks
from keras_cdd.models.pretrained.imagenet import imagenet_weights
from keras_cdd.models.pretrained.same_names import steady_names
from keras_cdd.models.pretrained.weights import file_weights


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
    weights = imagenet_weights(backbone) if source == "imagenet" else file_weights(source, backbone)
    return weights.arrays, own if weights.rescaling is None else weights.rescaling, weights.stride_on


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
    heavy = with_indicators(plain, config.network.indicators, _indicator_kind(config, plain))
    if not heavy.trainable_variables:
        # Copied from a frozen teacher. Not `heavy.trainable = True`: it is, so Keras would do nothing.
        for layer in heavy.layers:
            layer.trainable = True
    return heavy, plain


def _indicator_kind(config, source):
    """Kind of the indicators in gated blocks: that of those that the student starts with, else the settings'.

    Raises:
        UserError: if it starts with indicators of another kind than `--indicator`, or of both.
    """
    blocks = [] if config.run.student_init == "random" else gated_blocks(source)
    kinds = {site: block.indicator for block in blocks for site in block.gated_units}
    is_asked = config.network.indicator != "none" or not kinds
    wanted = config.gated_indicator if is_asked else next(iter(kinds.values()))
    others = [site for site, kind in kinds.items() if kind != wanted]
    if others:
        raise UserError(
            f"The student starts with indicators of another kind at {others[0]} than --indicator={wanted}; give the "
            "kind that they are of, or a network without indicators, such as a teacher.keras."
        )
    return wanted


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
    """Loads the weights, without a head of another kind or a classifier for another number of identities.

    A linear head that gets no weights starts as a PCA.
    """
    classes = {weight.path: tuple(weight.shape) for weight in model.weights}.get("head_logits/kernel", (0, 0))[1]
    # The classes are the rows in the authors' layout, the columns in ours.
    axes = {"classifier.classifier.weight": 0, "head_logits/kernel": 1}

    def is_other(name, array):
        return any(name.endswith(logits) and array.shape[axis] != classes for logits, axis in axes.items())

    arrays = {name: array for name, array in arrays.items() if not is_other(name, array)}
    if _projections(arrays) != _projections(weight.path for weight in model.weights):
        arrays = {name: array for name, array in arrays.items() if not name.startswith("head_dense/")}
    missing = load_pretrained(model, arrays)
    if head == "linear" and sample is not None and "head_dense/kernel" in missing:
        start_by_pca(model, sample())


def _projections(names):
    """The weights of a head other than the classifier."""
    return {name for name in names if is_in_head(name) and not name.startswith("head_logits/")}


def copy_weights(source, target):
    """Copies every weight of `source` to the weight of `target` with the same path; other weights are unchanged."""
    places = weights_by_layer(target)
    for path, weight in weights_by_layer(source).items():
        places[path].assign(weight)
    for layer in target.layers:
        if hasattr(layer, "finalize_state"):
            # Normalization keeps the values that it divides by outside its weights.
            layer.finalize_state()
