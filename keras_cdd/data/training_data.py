"""The training data of a run: images, sampler, augmentation."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from keras_cdd.data.augment import Augmentation
from keras_cdd.data.colour import ColourChange
from keras_cdd.data.image_store import ImageStore
from keras_cdd.data.pipeline import TrainingBatches, view_seed
from keras_cdd.data.pk_sampler import PKSampler
from keras_cdd.data.share import WHOLE, Share
from keras_cdd.data.shuffled_sampler import ShuffledSampler


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Makes the training batches of a run.

    Attributes:
        dataset: `RetrievalDataset`.
        config: the run's data settings: image size, batches, augmentation, `strict_data`, `cache_dir` and `cache_gib`.
        seed: seed of sampling and augmentation.
        teaching: `EmbeddingFile` of a teacher's embeddings of the training images; they follow the labels in every
            batch. Default: None.
        labelled: False for shuffled batches without regard to identities. Default: True.
        share: `Share` of the batches that this process trains on. Default: all.
    """

    dataset: object
    config: object
    seed: int
    teaching: object = None
    labelled: bool = True
    share: Share = WHOLE

    @functools.cached_property
    def store(self):
        config = self.config
        kept = {"cache_dir": config.cache_dir, "cache_gib": config.cache_gib}
        return ImageStore(self.dataset.train, config.image_size, config.strict_data, **kept)

    @functools.cached_property
    def labels(self):
        return self.dataset.labels_of(self.store.records)

    @functools.cached_property
    def sampler(self):
        config = self.config
        if not self.labelled:
            size = config.identities_per_batch * config.images_per_identity
            return ShuffledSampler(len(self.store), size, self.seed)
        return PKSampler(self.labels, config.identities_per_batch, config.images_per_identity, self.seed)

    @property
    def steps_per_epoch(self):
        return self.sampler.steps_per_epoch

    @functools.cached_property
    def colour(self):
        """The `ColourChange` of the settings; none, with a line that says so, for drawings in one colour."""
        config = self.config
        change = ColourChange(config.brightness, config.contrast, config.saturation, config.hue)
        if change.changes and self.dataset.inverted:
            print(f"Data set {self.dataset.name!r} shows drawings in one colour: colours stay as they are.", flush=True)
            return ColourChange()
        return change

    def sample(self, count=1024):
        """At most `count` training images, evenly spaced in their order: uint8 (N, height, width, 3)."""
        positions = np.linspace(0, len(self.store) - 1, min(count, len(self.store))).round().astype(int)
        return self.store.take(positions)

    def batches(self, start_epoch=0):
        """Infinite `tf.data.Dataset` of (images, labels) from an epoch on, see `TrainingBatches`; with `teaching` of
        (images, labels, embeddings).
        """
        return self._batches.from_epoch(start_epoch)

    def shared_batches(self, start_epoch=0, on_device=False):
        """The `share` of the same batches; with `on_device`, `augmented` makes the images."""
        if self.share == WHOLE and not on_device:
            return self.batches(start_epoch)
        return (self._shared_device_batches if on_device else self._shared_batches).from_epoch(start_epoch)

    def augmented(self, batch):
        """The images of a batch that comes as uint8 with what happens to them."""
        return self.augmentation.applied(batch["images"], batch, on_device=True)

    @functools.cached_property
    def augmentation(self):
        config = self.config
        return Augmentation(
            shift=config.shift,
            rotation=config.rotation,
            scale=tuple(config.scale),
            flip=config.flip and self.dataset.flip,
            erasing=config.erasing,
            background=self.dataset.background,
            random_crop=config.random_crop,
            colour=self.colour,
        )

    @functools.cached_property
    def _batches(self):
        return self._made(self._taught)

    @functools.cached_property
    def _shared_batches(self):
        return self._made(self._taught, share=self.share)

    @functools.cached_property
    def _shared_device_batches(self):
        return self._made(self._taught, share=self.share, on_device=True)

    @property
    def _taught(self):
        return None if self.teaching is None else self.teaching.of(self.store.records)

    def of_views(self, views, teaching, on_device=False):
        """`TrainingBatches` of the `share` that draw from a number of views of each image, with its `teaching` row."""
        return self._made(teaching, views=views, on_device=on_device, share=self.share)

    def _made(self, teaching, **options):
        given = (self.store, self.labels, self.sampler, self.augmentation, self.seed, teaching)
        return TrainingBatches(*given, **options)

    def view_images(self, views, rows):
        """float32 (N, height, width, 3), the views of the given rows (N,) as `of_views` shows them."""
        rows = np.asarray(rows, np.int32)
        seed = view_seed(self.seed, rows, views * len(self.store))
        return self.augmentation(tf.constant(self.store.take(rows % len(self.store))), seed)
