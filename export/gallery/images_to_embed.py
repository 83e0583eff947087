"""Images that a model embeds for a gallery."""

from .embedded_batch import embedded_batches
from .format import GalleryFormat
from .progress import Progress


class ImagesToEmbed:
    """A list of images, to be read and embedded.

    Args:
        model: `EmbeddingModel`.
        records: list of `ImageRecord`s of different paths.
        source: folder or CSV file of the list, as it was given.
        embedding_type: "int8" or "float16", or None (the default): that of the gallery, int8 if it is new.
        batch_size: images per batch, 32 by default.
        strict: if True, an unreadable image is an error; by default it is reported and skipped.

    Attributes:
        source: the argument.
        embedding_type: the argument.
    """

    def __init__(self, model, records, source, embedding_type=None, batch_size=32, strict=False):
        self.source, self.embedding_type = source, embedding_type
        self._model, self._records, self._batch_size, self._strict = model, records, batch_size, strict

    def __len__(self):
        return len(self._records)

    def new_format(self):
        """The `GalleryFormat` of a gallery of these images; loads the model.

        Raises:
            UserError: if the file is damaged or does not embed images.
        """
        model = self._model
        size = model.embedder.embedding_size
        return GalleryFormat(model.sha256, model.path.name, model.image_size, size, self.embedding_type or "int8")

    def vouch(self, gallery):
        """Checks that the model is the one of the images of a `Gallery`; raises UserError if not."""
        self._model.vouch(gallery, adds=True)

    def batches(self, gallery, known):
        """Yields `EmbeddedBatch`es for a `Gallery`, of the images whose paths are not in `known`."""
        new = [record for record in self._records if record.path not in known]
        stored = gallery.format.embedding_type
        with Progress(len(new)) as progress:
            yield from embedded_batches(self._model, new, self._batch_size, stored, progress, self._strict)
