"""The embeddings of a gallery in memory."""

import dataclasses
import itertools

import numpy as np

from .vector_codec import decode, misfit

BLOCK = 16384


@dataclasses.dataclass(frozen=True)
class GalleryVectors:
    """All embeddings of a gallery, for searching.

    Attributes:
        ids: int64 (N,), ids of the images, ascending.
        stored: int8 or float16 (N, D), as stored in the file.
        scales: float64 (N,); `stored * scales[:, None]` has rows of length 1.
    """

    ids: np.ndarray
    stored: np.ndarray
    scales: np.ndarray

    def __len__(self):
        return len(self.ids)

    @classmethod
    def from_rows(cls, rows, embedding_type, size):
        """Joins rows of a gallery file; needs little more memory than the result.

        Args:
            rows: iterable of (id, embedding blob, scale), ascending by id.
            embedding_type: "int8" or "float16".
            size: length of an embedding, D.

        Raises:
            ValueError: if the file is damaged: a blob does not hold `size` numbers, or a scaled row does not have
                length 1.
        """
        # Grows in place; joined arrays would need room for both.
        content, ids, scales = bytearray(), [np.empty(0, np.int64)], [np.empty(0)]
        for block in cls.blocks(rows, embedding_type, size):
            content += block.stored.data
            ids.append(block.ids)
            scales.append(block.scales)
        return cls(np.concatenate(ids), decode(content, embedding_type, size), np.concatenate(scales))

    @classmethod
    def blocks(cls, rows, embedding_type, size):
        """Yields the rows as `GalleryVectors` of few images each; arguments and errors are those of `from_rows`."""
        rows = iter(rows)
        while block := list(itertools.islice(rows, BLOCK)):
            yield cls._checked(block, embedding_type, size)

    @classmethod
    def _checked(cls, rows, embedding_type, size):
        ids, blobs, scales = zip(*rows, strict=True)
        wanted = decode(b"", embedding_type, size).itemsize * size
        if any(not isinstance(blob, bytes) or len(blob) != wanted for blob in blobs):
            raise ValueError(f"an embedding does not have {size} numbers")
        if any(not isinstance(scale, float) for scale in scales):
            raise ValueError("a scale is no number")
        vectors = cls(np.array(ids, np.int64), decode(b"".join(blobs), embedding_type, size), np.array(scales))
        wrong = misfit(vectors.stored, vectors.scales)
        if wrong.any():
            raise ValueError(f"the embedding of image {ids[wrong.argmax()]} does not fit its scale")
        return vectors
