"""The photos of a gallery that are most alike to one photo.

    python -m export.search --model=m.tflite --gallery=gallery.sqlite --query=photo.jpg --top_k=5 --show=ranking.png

Compares with every image of the gallery. Needs numpy, Pillow and ai-edge-litert or tflite-runtime, nothing else.
"""

import json
import os
import pathlib
import sys
import time

from .plain_command import CommandParser, run_light

PICTURES = {".jpeg": "JPEG", ".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


def command_parser():
    parser = CommandParser(__doc__)
    add = parser.add_argument
    add("--model", help="The .tflite file that the gallery was built with.")
    add("--gallery", help="What build_gallery wrote.")
    add("--query", help="A photo; an entry of an archive is archive.zip!/inner/photo.jpg.")
    add("--top_k", type=int, default=5, help="How many to show.")
    add("--json", action="store_true", help="Print JSON; milliseconds are those of embedding and comparing.")
    add("--show", help="Picture of the ranking to write: green is right, red is wrong, grey is unknown.")
    add("--identity", help="Who or what the query shows, for --show; by default its folder, if the gallery knows it.")
    return parser


def main(options):
    from keras_cdd.errors import UserError

    _check(options)
    from keras_cdd.data.image import read_image

    from .gallery.embedding_model import EmbeddingModel
    from .gallery.gallery import Gallery

    with Gallery(options.gallery) as gallery:
        model = EmbeddingModel(options.model)
        model.vouch(gallery)
        if gallery.unfinished:
            print(f"warning: {gallery.path} lacks images of {gallery.unfinished}; build it again.", file=sys.stderr)
        query, vectors = read_image(options.query), gallery.vectors()
        if not len(vectors):
            raise UserError(f"Gallery {gallery.path} is empty; add images with build_gallery.")
        results, seconds = _search(gallery, vectors, model, query, options.top_k)
        if options.show:
            _draw(options, gallery, query, results)
    rows = [
        {"rank": rank, "path": image.path, "identity": image.identity, "similarity": round(float(similarity), 6)}
        for rank, (image, similarity) in enumerate(results, 1)
    ]
    if options.json:
        about = {"query": options.query, "model": options.model, "gallery_size": len(vectors)}
        print(json.dumps({**about, "milliseconds": round(1000 * seconds, 3), "results": rows}, indent=2))
    else:
        _print(rows)


def _check(options):
    """Raises for what needs no model and no gallery to be seen."""
    from keras_cdd.errors import MissingFileError, UserError

    for name in ("model", "gallery", "query"):
        if not getattr(options, name):
            raise UserError(f"--{name} is missing; give a file.")
    if options.top_k < 1:
        raise UserError(f"--top_k must be positive. Received: {options.top_k}")
    if not options.show:
        return
    if pathlib.Path(options.show).suffix.lower() not in PICTURES:
        raise UserError(f"--show must end in one of {', '.join(PICTURES)}. Received: {options.show}")
    if not os.path.isdir(os.path.dirname(options.show) or "."):
        raise MissingFileError(f"There is no folder for --show={options.show}; make it first.")


def _search(gallery, vectors, model, query, top_k):
    """[(GalleryImage, similarity)], and the seconds that resizing, embedding and comparing took."""
    import numpy as np

    from keras_cdd.data.image import resize

    from .gallery.search import top_k as find

    size = model.image_size
    # The first run of a file sets it up; that is no part of the time.
    model.embedder(np.zeros((1, *size, 3), np.uint8))
    start = time.perf_counter()
    positions, similarities = find(vectors, model.embed(resize(query, size)[None]), top_k)
    seconds = time.perf_counter() - start
    return list(zip(gallery.images(vectors.ids[positions[0]]), similarities[0], strict=True)), seconds


def _draw(options, gallery, query, results):
    from keras_cdd.run_folder.writing import whole

    from .gallery.ranking_picture import query_identity, ranking_picture

    identity = options.identity or query_identity(gallery, options.query)
    picture = ranking_picture(query, pathlib.PurePath(options.query).name, identity, results)
    with whole(options.show) as fresh:
        picture.save(fresh, PICTURES[fresh.suffix.lower()])


def _print(rows):
    width = max(len(str(row["identity"] or "")) for row in rows)
    for row in rows:
        print(f"{row['rank']:>3}  {row['similarity']:.4f}  {row['identity'] or '':<{width}}  {row['path']}")


def run():
    run_light(main, command_parser())


if __name__ == "__main__":
    run()
