"""The models that the user gives: `--teacher` and `--student_model`, of any architecture."""

import keras

from keras_cdd.errors import UserError
from keras_cdd.experiment.pca_head import start_by_pca
from keras_cdd.layers import embedding_head
from keras_cdd.models.copies import Copies
from keras_cdd.models.gated_units import gated_blocks
from keras_cdd.models.graph import graph_of, has_graph
from keras_cdd.run_folder.reading import load_model


def load_teacher(path, image_size, num_classes):
    """Loads a teacher: a model of images whose outputs are a dict with an `embedding`.

    Args:
        path: path of the `.keras` file.
        image_size: (height, width) in pixels of the run's images.
        num_classes: the run's number of training identities.

    Returns:
        The `keras.Model`.

    Raises:
        MissingFileError: if there is no such file.
        UserError: if the model cannot teach: it has no graph, takes no such images, has no `embedding`, or knows
            another number of identities.
    """
    teacher = load_model(path, "--teacher", "give a teacher.keras of a run, or another model with an `embedding`")
    what = f"--teacher {path}"
    _check_input(teacher, what, image_size)
    if not _has_embedding(teacher):
        raise UserError(f"{what} does not fit: its outputs are no dict with an `embedding` (N, D); save it with one.")
    classes = _classes(teacher)
    if classes not in (None, num_classes):
        raise UserError(
            f"{what} does not fit: it knows {classes} identities, the run has {num_classes}; "
            "give a teacher of the same data set, or one without `logits`."
        )
    return teacher


def load_student_model(path, image_size, num_classes, embedding_size, pooling, head="neck", sample=None):
    """Loads the network that `--student_model` names, with the outputs that training needs.

    Args:
        path: path of the `.keras` file: a functional model whose outputs are a dict with an `embedding`, or a backbone,
            whose only output is a feature map (N, H, W, C) or features (N, C).
        image_size, num_classes: as in `load_teacher`.
        embedding_size, pooling, head: of the head that a backbone gets, see `embedding_head`.
        sample: function without arguments that returns images for `start_by_pca`. By default a linear head is random.

    Returns:
        A `keras.Model`, see `with_training_outputs`.

    Raises:
        MissingFileError: if there is no such file.
        UserError: if the model has no graph, takes no such images, or has other outputs.
    """
    model = load_model(path, "--student_model", "give a .keras file of a functional model")
    what = f"--student_model {path}"
    _check_input(model, what, image_size)
    model = flat(model)
    if _has_embedding(model):
        return with_training_outputs(model, num_classes)
    outputs = keras.tree.flatten(model.output)
    if isinstance(model.output, dict) and len(outputs) > 1 or len(outputs) != 1 or len(outputs[0].shape) not in (2, 4):
        raise UserError(
            f"{what} must have a dict of outputs with an `embedding` (N, D), or as a backbone one output (N, H, W, C) "
            f"or (N, C). Received: {[tuple(output.shape) for output in outputs]}"
        )
    headed = embedding_head(outputs[0], embedding_size, num_classes, pooling, head)
    model = keras.Model(model.inputs[0], headed, name=model.name)
    if head == "linear" and sample is not None:
        start_by_pca(model, sample())
    return model


def with_training_outputs(model, num_classes):
    """The model with the outputs `features`, `embedding` and `logits`; the same model if it has them.

    Args:
        model: functional model whose outputs are a dict with an `embedding`.
        num_classes: the run's number of training identities. Without `logits` of this length, a new dense layer
            `head_logits` on the embedding gives them; without `features`, they are the embedding.
    """
    outputs = dict(model.output)
    if "features" in outputs and _classes(model) == num_classes:
        return model
    embedding = outputs["embedding"]
    outputs = {"features": outputs.get("features", embedding), "embedding": embedding}
    if _classes(model) == num_classes:
        outputs["logits"] = model.output["logits"]
    else:
        small = keras.initializers.RandomNormal(stddev=0.001)
        outputs["logits"] = keras.layers.Dense(
            num_classes, use_bias=False, kernel_initializer=small, name="head_logits", dtype="float32"
        )(embedding)
    return keras.Model(model.inputs[0], outputs, name=model.name)


def flat(model):
    """A copy of a model, weights included, in which nested models are replaced by their layers.

    A model of gated blocks is returned itself.
    """
    if gated_blocks(model):
        return model
    graph = graph_of(model)
    return graph.replay(Copies(graph))


def _has_embedding(model):
    output = model.output
    return isinstance(output, dict) and "embedding" in output and len(output["embedding"].shape) == 2


def _classes(model):
    """The length of the `logits`; None without them."""
    return model.output["logits"].shape[-1] if "logits" in model.output else None


def _check_input(model, what, image_size):
    if not has_graph(model):
        raise UserError(f"{what} is no functional model, so its layers cannot be told; save one of Inputs and layers.")
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    wanted = (*image_size, 3)
    if shapes != [wanted]:
        found = " and ".join(map(str, shapes))
        raise UserError(
            f"{what} does not fit: it takes images of {found}, the run has {wanted}; "
            "set --image_size to the model's height,width, or give a model with one such input."
        )
