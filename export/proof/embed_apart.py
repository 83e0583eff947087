"""The process that `runtimes.embed_with` starts: embeds images without Keras and TensorFlow."""

import sys

import numpy as np

from ..plain_command import without_keras


def main(package, path, given, answer):
    without_keras()
    from keras_cdd.evaluation.tflite_embedder import open_interpreter

    from .runtimes import as_input

    run = open_interpreter(package, path, threads=1).get_signature_runner()
    pixels = as_input(np.load(given, allow_pickle=False), run.get_input_details()["image"]["dtype"])
    # Copied, because the next image overwrites the runner's output.
    np.save(answer, np.concatenate([run(image=pixels[n : n + 1])["embedding"].copy() for n in range(len(pixels))]))


if __name__ == "__main__":
    main(*sys.argv[1:])
