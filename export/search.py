"""Finds the images of a gallery that are most similar to a photo.

    python -m export.search --model=m.tflite --gallery=gallery.sqlite --query=photo.jpg --top_k=5 --show=ranking.png

Compares with every image of the gallery. Needs only numpy, Pillow and ai-edge-litert or tflite-runtime.
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
    add("--model", help="The file that the gallery was built with, or for: its --query_model.")
    add("--gallery", help="The gallery that build_gallery wrote.")
    add("--query", help="A photo; write an entry of an archive as archive.zip!/inner/photo.jpg.")
    add("--top_k", type=int, default=5, help="Number of results.")
    add("--json", action="store_true", help="Print JSON, with the milliseconds of resizing, embedding and comparing.")
    add("--show", help="Write the ranking as a picture: green is right, red is wrong, grey is unknown.")
    add("--identity", help="Identity of the query, for --show. Default: its folder's name, if the gallery has it.")
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
    """Raises for mistakes that can be found before the model and the gallery are loaded."""
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
    """List of (GalleryImage, similarity), and the seconds for resizing, embedding and comparing."""
    import numpy as np

    from keras_cdd.data.image import resize

    from .gallery.search import top_k as find

    size = model.image_size
    # The first run includes the setup, which is not timed.
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
