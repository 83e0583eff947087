"""Writes made embeddings in the files of export.embed, for trials with many rows.

    python -m benchmarks.made_embeddings --images=1000000 --output=runs/made

Vectors are random, in noisy groups like those of identities, without photos. With --model=m.tflite they have its length
and pass as its own, so that the gallery made of them can be searched with it.
"""

import argparse
import pathlib

from export.plain_command import without_keras

if __name__ == "__main__":
    without_keras()

import numpy as np  # noqa: E402

from benchmarks.search import random_vectors  # noqa: E402
from export.bulk.part_file import table_of, write_table  # noqa: E402
from export.bulk.part_format import PartFormat  # noqa: E402
from export.gallery.embedded_batch import EmbeddedBatch  # noqa: E402
from export.gallery.embedding_model import EmbeddingModel  # noqa: E402
from export.gallery.format import GalleryFormat  # noqa: E402
from export.gallery.image import GalleryImage, thumbnail_of  # noqa: E402
from keras_cdd.run_folder.writing import make_folder, whole  # noqa: E402

ROWS, BATCH_SIZE, IDENTITY_SIZE = 8192, 1024, 20


def main(options):
    made = GalleryFormat("0" * 64, "made.tflite", (64, 64), options.embedding_size, "int8")
    if options.model:
        model = EmbeddingModel(options.model)
        made = GalleryFormat(
            model.sha256, model.path.name, model.image_size, model.embedder.embedding_size, made.embedding_type
        )
    part_format = PartFormat(made, "0" * 64, options.images, ROWS, BATCH_SIZE, "made")
    make_folder(options.output)
    thumbnail = thumbnail_of(np.full((96, 96, 3), 128, np.uint8))
    for part in range(part_format.parts):
        positions = part_format.positions(part)
        vectors = random_vectors(np.random.default_rng(part), len(positions), made.embedding_size)
        batches = []
        for start in range(0, len(positions), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            numbers = [f"{number:09}" for number in positions[rows]]
            images = [
                GalleryImage(f"made/{number}.jpg", f"made {int(number) // IDENTITY_SIZE}", None, thumbnail)
                for number in numbers
            ]
            batches.append(EmbeddedBatch(images, vectors.stored[rows], vectors.scales[rows], {}))
        with whole(pathlib.Path(options.output) / part_format.name(part)) as fresh:
            write_table(table_of(part_format, batches), fresh)
    print(f"{options.output}: {options.images} made embeddings of {made.embedding_size} numbers")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--embedding_size", type=int, default=128)
    parser.add_argument("--model", help="A .tflite file whose embeddings they shall seem to be.")
    parser.add_argument("--output", required=True)
    main(parser.parse_args())
