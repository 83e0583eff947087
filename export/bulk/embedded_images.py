"""Images of a gallery that were embedded before."""

from keras_cdd.errors import UserError

from ..gallery.progress import Progress


class EmbeddedImages:
    """The images of a folder of embeddings, in place of `ImagesToEmbed`.

    Args:
        folder: `PartFolder`.
        model: `EmbeddingModel` that must have made them; not checked if None, the default.

    Attributes:
        source: folder or CSV file of their list, as it was given.
        embedding_type: "int8" or "float16".

    Raises:
        UserError: if another model made them.
    """

    def __init__(self, folder, model=None):
        made = folder.format.gallery
        if model and model.sha256 != made.model_sha256:
            raise UserError(f"{folder.path} was embedded with another model, {made.model_file}, than {model.path}.")
        self.source, self.embedding_type = folder.format.source, made.embedding_type
        self._folder = folder

    def __len__(self):
        return self._folder.format.images

    def new_format(self):
        """The `GalleryFormat` of a gallery of these images."""
        return self._folder.format.gallery

    def vouch(self, gallery):
        """Checks that their model is the one of the images of a `Gallery`; raises UserError if not."""
        gallery.require_model(self._folder, adds=True)

    def batches(self, _, known):
        """Yields `EmbeddedBatch`es of the images whose paths are not in `known`."""
        with Progress(len(self)) as progress:
            for batch in self._folder.batches():
                yield batch.without(known)
                progress.advance(len(batch.images) + len(batch.unreadable))
