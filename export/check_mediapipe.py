"""Checks that MediaPipe's ImageEmbedder ranks as LiteRT does: `python -m export.check_mediapipe FILE...`

Runs in a separate environment (`make check-mediapipe` creates it), because MediaPipe and the TensorFlow tools need
different versions of the same packages.
"""

import argparse
import pathlib
import sys

import numpy as np

from .proof.runtimes import embed_with, likeness

# Both use XNNPACK, but different versions: images whose similarities differ by less than this may swap ranks.
TIE = 1e-4


def check(path, count=64):
    """Compares LiteRT's and MediaPipe's embeddings of synthetic photos.

    Args:
        path: path of a `.tflite` file with uint8 or float32 input.
        count: number of photos.

    Returns:
        The dict of `runtimes.likeness`.
    """
    photos = _photos(path, count)
    return likeness(embed_with("ai-edge-litert", path, photos), _mediapipe(path, photos))


def _photos(path, count):
    """Photos in the size of the model's input, uint8 (count, height, width, 3)."""
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path, help=".tflite files")
    failed = False
    for path in parser.parse_args().files:
        if not path.is_file():
            sys.exit(f"error: There is no model {path}; export one with python -m export.to_tflite.")
        alike = check(path)
        differs = alike["similarity_lost"] > TIE
        failed |= differs
        verdict = "ranks otherwise than LiteRT" if differs else "ranks as LiteRT"
        detail = f"cosine at least {alike['cosine_min']:.6f}, {alike['same_nearest']} % same nearest"
        print(f"{path}: {verdict}, {'the same to the bit' if alike['identical'] else detail}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
