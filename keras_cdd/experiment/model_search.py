"""The search that `keras_cdd.evaluate` asks for: one model for both sides, or another one for the gallery."""

from keras_cdd.data.embedding_file import EmbeddingFile
from keras_cdd.errors import UserError
from keras_cdd.evaluation import Evaluator, load_embedder
from keras_cdd.evaluation.keras_embedder import KerasEmbedder
from keras_cdd.evaluation.rescaled_embedder import RescaledEmbedder
from keras_cdd.experiment.off_the_shelf import of_size, pooled_backbone


def query_model(options, dataset, default_size):
    """What embeds the queries and, without another model for it, the gallery.

    Args:
        options: `EvaluateFlags`.
        dataset: `RetrievalDataset`.
        default_size: (height, width) in pixels of the images of a backbone without `--image_size`.

    Returns:
        A function of images as `load_embedder` returns.

    Raises:
        UserError: if the model cannot be used, or takes images of another size than `--image_size`.
    """
    size = tuple(options.image_size)
    if options.pretrained:
        return KerasEmbedder(pooled_backbone(options.model, options.pretrained, size or default_size, dataset))
    model = _of_one_size(load_embedder(options.model), size, f"--model {options.model}")
    if size and size != tuple(model.image_size):
        raise UserError(f"--model {options.model} takes images of {tuple(model.image_size)}; leave --image_size out.")
    return RescaledEmbedder(model, *options.rescaling) if options.rescaling else model


def searches(options, model, datasets, folder):
    """Yields the `RankingMetrics` of a model's queries in every data set.

    Args:
        options: `EvaluateFlags`.
        model: what embeds the queries, see `query_model`.
        datasets: list of `RetrievalDataset`.
        folder: folder that relative paths in `--gallery_embeddings` refer to.

    Raises:
        UserError: if the gallery's embeddings cannot be used, or do not have the length of the queries'.
    """
    other = None
    if options.gallery_model:
        size = options.image_size or model.image_size
        other = _of_one_size(load_embedder(options.gallery_model), size, f"--gallery_model {options.gallery_model}")
    given = EmbeddingFile(options.gallery_embeddings, folder) if options.gallery_embeddings else None
    length = (other or given or model).embedding_size
    if length != model.embedding_size:
        raise UserError(
            f"--model {options.model} gives embeddings of {model.embedding_size} numbers, the gallery has {length}; "
            "give models whose embeddings can be compared, as those of a student and its teacher."
        )
    for dataset in datasets:
        evaluator = Evaluator(
            dataset,
            model.image_size,
            options.batch_size,
            options.rerank,
            options.flip,
            options.strict_data,
            options.cache_dir,
            options.cache_gib,
            gallery_size=None if other is None else other.image_size,
            gallery_embeddings=None if given is None else given.of(dataset.gallery),
        )
        yield evaluator.evaluate(model, other)


def _of_one_size(embedder, image_size, what):
    """The embedder itself, or if it takes images of any size, one of `image_size`."""
    if None not in embedder.image_size:
        return embedder
    if not image_size:
        raise UserError(f"{what} takes images of any size; say which with --image_size=H,W.")
    return KerasEmbedder(of_size(embedder.network, image_size))
