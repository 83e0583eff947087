"""Golden vectors: Python's tensors, embeddings and rankings of a few photos, for the Android app's tests."""

import hashlib
import json
import pathlib

import numpy as np
from PIL import Image

from keras_cdd.data.image import resize

from ..gallery.search import top_k

FILE, RANKS = "golden.json", 5


def write_golden(folder, photos, model, gallery):
    """Writes photos as PNG, their tensors as raw bytes, and `golden.json` with embeddings and rankings.

    Adds two images that exercise resizing: a narrow strip of the first photo and a small version of the last image.

    Args:
        folder: an existing, empty folder.
        photos: list of `SamplePhoto`, at least one.
        model: `EmbeddingModel`, with uint8 input.
        gallery: `Gallery` that was built with `model`; each ranking holds its best 5 images.
    """
    folder, vectors, (height, width) = pathlib.Path(folder), gallery.vectors(), model.image_size
    images = [photo.pixels for photo in photos]
    images += [images[0][:, : max(1, images[0].shape[1] // 3)], resize(images[-1], (height // 3 + 1, width // 2 + 1))]
    entries = []
    for number, pixels in enumerate(images):
        tensor = resize(pixels, (height, width))
        embedding = model.embed(tensor[None])
        Image.fromarray(pixels).save(folder / f"{number}.png")
        (folder / f"{number}.rgb").write_bytes(tensor.tobytes())
        entries.append(
            {
                "file": f"{number}.png",
                "tensor": f"{number}.rgb",
                "tensor_sha256": hashlib.sha256(tensor.tobytes()).hexdigest(),
                "embedding": embedding[0].tolist(),
                "ranking": _ranking(gallery, vectors, embedding),
            }
        )
    size = {"image_height": height, "image_width": width, "embedding_size": model.embedder.embedding_size}
    (folder / FILE).write_text(json.dumps({**size, "images": entries}, indent=1) + "\n")


def _ranking(gallery, vectors, embedding):
    positions, similarities = top_k(vectors, embedding, RANKS)
    images = gallery.images(vectors.ids[positions[0]])
    return [
        {"path": image.path, "identity": image.identity, "similarity": float(similarity)}
        for image, similarity in zip(images, np.atleast_2d(similarities)[0], strict=True)
    ]
