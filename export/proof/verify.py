"""Verifies an exported `.tflite` file: measures it and compares it with its Keras model."""

import dataclasses
import functools
import hashlib
import pathlib

import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.evaluation import Evaluator, load_embedder

from .inspection import inspect
from .runtimes import cosines, embed_with, latency_ms, likeness, runtime_versions


@dataclasses.dataclass(frozen=True)
class Verifier:
    """Compares exported files with their Keras model on an evaluation protocol.

    Args:
        model: `keras.Model` that the files were exported from.
        dataset: `RetrievalDataset`.
        image_size: (height, width) in pixels.
        strict: if True, an unreadable image is an error; by default it is reported and skipped.
    """

    model: object
    dataset: object
    image_size: tuple
    strict: bool = False

    @functools.cached_property
    def evaluator(self):
        return Evaluator(self.dataset, self.image_size, strict=self.strict)

    @functools.cached_property
    def reference(self):
        """The Keras model's embeddings: (queries, D) and (gallery, D)."""
        return self.evaluator.embeddings(self.model)

    @functools.cached_property
    def reference_metrics(self):
        """The Keras model's `mAP, mINP, rank1, rank5, rank10` in percent."""
        return self.evaluator.rank(*self.reference).as_percent()

    def measure(self, path):
        """Measures a file.

        Returns:
            Dict for the JSON report: accuracy in percent, similarity to the Keras model, size in bytes, operators,
            latency in milliseconds.

        Raises:
            UserError: if the file cannot be run or needs custom operators.
        """
        content = pathlib.Path(path).read_bytes()
        inside = inspect(content)
        if inside.custom_operators:
            raise UserError(f"Model {path} needs operators that no plain runtime has: {inside.custom_operators}")
        embeddings = self.evaluator.embeddings(load_embedder(path))
        metrics = self.evaluator.rank(*embeddings).as_percent()
        alike = cosines(np.concatenate(embeddings), np.concatenate(self.reference))
        return {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "image_height": self.image_size[0],
            "image_width": self.image_size[1],
            "embedding_size": embeddings[0].shape[1],
            "dataset": self.dataset.name,
            **metrics,
            "keras": self.reference_metrics,
            "map_drop": round(self.reference_metrics["mAP"] - metrics["mAP"], 3),
            "cosine_mean": round(float(alike.mean()), 6),
            "cosine_min": round(float(alike.min()), 6),
            "operators": inside.operators,
            "ops_not_quantized": inside.not_quantized,
            "min_runtime_version": inside.min_runtime_version,
            **self._on_runtimes(path),
        }

    def _on_runtimes(self, path, count=100):
        """Latency, and how the installed runtimes agree on up to `count` gallery images."""
        versions = runtime_versions()
        images = self.evaluator.gallery.take(np.arange(min(count, len(self.evaluator.gallery))))
        embeddings = {package: embed_with(package, path, images) for package in versions}
        first = next(iter(embeddings.values()))
        return {
            "latency_ms": {"1_thread": round(latency_ms(path, 1), 3), "2_threads": round(latency_ms(path, 2), 3)},
            "runtimes": {f"{name} {versions[name]}": likeness(first, found) for name, found in embeddings.items()},
        }
