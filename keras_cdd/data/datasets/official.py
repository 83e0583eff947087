"""Functions shared by the loaders of published data sets."""

import logging

from keras_cdd.data.records import RetrievalDataset
from keras_cdd.errors import MissingFileError


def published_dataset(name, records, counts, **options):
    """Makes the `RetrievalDataset` of a published protocol; logs a warning if its size differs from the published one.

    Args:
        name: name of the protocol.
        records: list of `ImageRecord`s with their split.
        counts: the published (training identities, training images, queries, gallery images).
        **options: arguments of `RetrievalDataset`.
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
    """Returns `paths[name]` for a name from the list `where`.

    Raises:
        MissingFileError: if there is no such entry.
    """
    try:
        return paths[name]
    except KeyError:
        raise MissingFileError(f"{where} lists {name}, which is not there; unpack the data set again.") from None
