"""Shows that MediaPipe's ImageEmbedder loads files and ranks as LiteRT: `python -m export.check_mediapipe FILE...`

Runs in an environment of its own (`make check-mediapipe` makes it), since MediaPipe and TensorFlow's tools want
different versions of the same packages.
"""

import argparse
import pathlib
import sys

import numpy as np

from .runtimes import embed_with

# Between kernels of different origin an 8-bit embedding moves this much, so closer results may change places.
LEAST_COSINE, TIE = 0.99, 0.01


def check(path, count=64):
    """Embeds toy photos with both.

    Args:
        path: of a `.tflite` file with uint8 or float32 input.
        count: photos.

    Returns:
        `(cosine, wrong)`: the lowest cosine between the two embeddings of a photo, and for how many photos MediaPipe
        finds another nearest one that LiteRT does not find as near.
    """
    photos = _photos(path, count)
    expected, found = _unit(embed_with("ai-edge-litert", path, photos)), _unit(_mediapipe(path, photos))
    similarities = expected @ expected.T
    np.fill_diagonal(similarities, -1)
    theirs = found @ found.T
    np.fill_diagonal(theirs, -1)
    lost = similarities.max(1) - similarities[np.arange(count), theirs.argmax(1)]
    return float(np.sum(expected * found, 1).min()), int(np.sum(lost > TIE))


def _photos(path, count):
    """Photos of the size that the file takes, uint8 (count, height, width, 3)."""
    from ai_edge_litert.interpreter import Interpreter

    from keras_cdd.data import load_dataset, load_image

    (details,) = Interpreter(str(path)).get_input_details()
    records = load_dataset("synthetic").query[:count]
    return np.stack([load_image(record.path, details["shape"][1:3].tolist()) for record in records])


def _mediapipe(path, photos):
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageEmbedderOptions(base_options=BaseOptions(model_asset_path=str(path)))
    with vision.ImageEmbedder.create_from_options(options) as embedder:
        images = [mp.Image(image_format=mp.ImageFormat.SRGB, data=photo) for photo in photos]
        return np.stack([embedder.embed(image).embeddings[0].embedding for image in images])


def _unit(embeddings):
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path, help=".tflite files")
    failed = False
    for path in parser.parse_args().files:
        if not path.is_file():
            sys.exit(f"error: There is no model {path}; export one with python -m export.to_tflite.")
        cosine, wrong = check(path)
        good = cosine >= LEAST_COSINE and not wrong
        failed |= not good
        verdict = "ranks as LiteRT" if good else "differs from LiteRT"
        print(f"{path}: {verdict}, cosine at least {cosine:.5f}, {wrong} other neighbours")
    sys.exit(failed)


if __name__ == "__main__":
    main()
