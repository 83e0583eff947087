"""Writes the embeddings of photos by any Keras model, as `--teacher_embeddings` and `--gallery_embeddings` take them.

    python -m examples.teacher_embeddings model.keras photos embeddings.npz
    python -m keras_cdd.train --dataset=folder --data_dir=photos --teacher_embeddings=embeddings.npz

The model takes images (N, height, width, 3) in 0..255 and gives (N, D). A model of another framework takes its place if
its program writes the same two arrays.
"""

import pathlib
import sys

import keras
import numpy as np

from keras_cdd.data import load_image

PHOTOS = (".jpeg", ".jpg", ".png", ".webp")
BATCH = 32


def main(model, folder, output):
    """Embeds all photos below `folder`; their paths in the file are relative to it. Returns how many there are."""
    network = keras.saving.load_model(model, compile=False)
    size = network.input.shape[1:3]
    paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.suffix.lower() in PHOTOS)
    parts = []
    for start in range(0, len(paths), BATCH):
        images = np.stack([load_image(str(path), size) for path in paths[start : start + BATCH]])
        parts.append(network.predict_on_batch(images.astype(np.float32)))
    names = [path.relative_to(folder).as_posix() for path in paths]
    np.savez(output, path=names, embedding=np.concatenate(parts))
    print(f"{output}: {len(names)} embeddings of {parts[0].shape[1]} numbers")
    return len(names)


if __name__ == "__main__":
    main(*sys.argv[1:])
