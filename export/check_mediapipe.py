"""Checks that MediaPipe's ImageEmbedder ranks as LiteRT does: `python -m export.check_mediapipe FILE...`

Runs in a separate environment (`make check-mediapipe` creates it), because MediaPipe and the TensorFlow tools need
different versions of the same packages.
"""

import numpy as np

from .proof.elsewhere import check_files


def mediapipe(path, photos):
    """Embeddings (N, D) float32 that MediaPipe gives for photos, uint8 (N, height, width, 3)."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageEmbedderOptions(base_options=BaseOptions(model_asset_path=str(path)))
    with vision.ImageEmbedder.create_from_options(options) as embedder:
        images = [mp.Image(image_format=mp.ImageFormat.SRGB, data=photo) for photo in photos]
        return np.stack([embedder.embed(image).embeddings[0].embedding for image in images])


if __name__ == "__main__":
    check_files(__doc__.split("\n")[0], "MediaPipe", mediapipe, "ai-edge-litert")
