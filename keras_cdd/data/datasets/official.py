"""What the loaders of published data sets have in common."""

import logging

from keras_cdd.data.records import RetrievalDataset
from keras_cdd.errors import MissingFileError


def published_dataset(name, records, counts, **options):
    """A `RetrievalDataset` of a published protocol; says so if it is not as large as published.

    Args:
        name: of the protocol.
        records: `ImageRecord`s with their split.
        counts: the published (training identities, training images, queries, gallery images).
        **options: of `RetrievalDataset`.
    """
    dataset = RetrievalDataset.from_records(name, records, published=True, **options)
    found = (dataset.num_identities, len(dataset.train), len(dataset.query), len(dataset.gallery))
    if found != counts:
        parts = ("training identities", "training images", "queries", "gallery images")
        logging.warning(
            "Data set %s differs from the published one: found %s; published %s.",
            name,
            ", ".join(f"{count} {part}" for count, part in zip(found, parts, strict=True)),
            ", ".join(f"{count} {part}" for count, part in zip(counts, parts, strict=True)),
        )
    return dataset


def listed_path(paths, name, where):
    """`paths[name]`, for a name that a list gives.

    Raises:
        FileNotFoundError: if the list names an image that is not there.
    """
    try:
        return paths[name]
    except KeyError:
        raise MissingFileError(f"{where} lists {name}, which is not there; unpack the data set again.") from None
