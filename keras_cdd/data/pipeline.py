"""Deterministic batches: the same seed and epoch give the same images, also in a resumed run."""

import functools

import numpy as np
import tensorflow as tf

from keras_cdd.data.augment import Augmentation
from keras_cdd.data.draws import ViewSeed
from keras_cdd.data.share import WHOLE


def training_batches(store, labels, sampler, augmentation=None, seed=0, start_epoch=0, teaching=None, views=0):
    """Infinite batches; an epoch has `sampler.steps_per_epoch` of them.

    Args:
        start_epoch: epoch to start with, 0 by default.

    The other arguments and what is returned and raised are those of `TrainingBatches`.
    """
    return TrainingBatches(store, labels, sampler, augmentation, seed, teaching, views).from_epoch(start_epoch)


class TrainingBatches:
    """Infinite batches from any epoch on; the graphs that load and augment them are traced once.

    Args:
        store: `ImageStore` of the training images.
        labels: (len(store),), contiguous classes of `store.records`; the same that the sampler was made from.
        sampler: `PKSampler`.
        augmentation: an `Augmentation`, which takes the uint8 images, or any function of float32 images and a seed (2,)
            that keeps their shape; None by default.
        seed: seed of the augmentation, 0 by default; each step draws other random numbers.
        teaching: (len(store), D), an embedding to learn for each image; None by default. With `views`, (views *
            len(store), D) of any type, a row for every view: view v of image i has row v * len(store) + i.
        on_device: whether the batches have uint8 images and what happens to them, for `Augmentation.applied` on the
            device that trains; the `augmentation` is an `Augmentation`. Default: False.
        views: number of views of each image, of which every batch draws one for each of its images; the `augmentation`
            is an `Augmentation`. Default: 0, a new change of each image in every step.
        share: `Share` of every batch that is loaded and augmented; the `augmentation` is an `Augmentation` or None.
            Default: all of it.

    Raises:
        ValueError: if the numbers of labels, or of embeddings, and images differ.
    """

    def __init__(
        self,
        store,
        labels,
        sampler,
        augmentation=None,
        seed=0,
        teaching=None,
        views=0,
        on_device=False,
        share=WHOLE,
    ):
        labels = np.asarray(labels, np.int32)
        if len(labels) != len(store):
            raise ValueError(
                f"Argument `labels` must name a class for each of {len(store)} images. Received: {len(labels)}"
            )
        if teaching is not None and len(teaching) != max(views, 1) * len(store):
            images = f"{len(store)} images" + (f" in {views} views" if views else "")
            rule = f"Argument `teaching` must hold an embedding for each of {images}"
            raise ValueError(f"{rule}. Received: {len(teaching)}")
        if teaching is not None and not views:
            teaching = np.asarray(teaching, np.float32)
        follows = [np.empty(0, np.int32), labels, *([] if teaching is None else [teaching])]
        self._steps = sampler.steps_per_epoch
        plan = functools.lru_cache(maxsize=2)(sampler.batches)

        self._share = share

        def take(epoch, step, part):
            positions = plan(int(epoch))[step]
            rows = np.asarray(positions, np.int32)
            if views:
                drawn = np.random.default_rng([seed, epoch, step]).integers(0, views, len(positions), np.int32)
                rows = rows + np.int32(len(store)) * drawn
            first, end = share.bounds(part, len(positions))
            positions, rows = positions[first:end], rows[first:end]
            return [store.take(positions), rows, labels[positions], *([] if teaching is None else [teaching[rows]])]

        # AutoGraph would take seconds to find no branches on tensors.
        @tf.autograph.experimental.do_not_convert
        def load(count):
            number, part = count // share.held, count % share.held
            epoch, step = number // self._steps, number % self._steps
            kinds = [tf.uint8, *(array.dtype for array in follows)]
            images, *others = tf.numpy_function(take, [epoch, step, part], kinds)
            images.set_shape([size, *store.image_size, 3])
            for other, array in zip(others, follows, strict=True):
                other.set_shape([size, *array.shape[1:]])
            return part, _step_seed(seed, epoch, step), images, *others

        def draw(part, step_seed, images, rows):
            if views:
                return augmentation.drawn(tf.shape(images), view_seed(seed, rows, views * len(store)))
            # For the whole batch: an image gets the same numbers, whatever share it belongs to.
            drawn = augmentation.drawn(tf.constant([sampler.batch_size, *store.image_size, 3]), step_seed)
            first, end = share.bounds(part, sampler.batch_size)
            return {name: numbers[first:end] for name, numbers in drawn.items()}

        def augment(part, step_seed, images, rows, *others):
            if isinstance(augmentation, Augmentation):
                drawn = draw(part, step_seed, images, rows)
                images = {"images": images, **drawn} if on_device else augmentation.applied(images, drawn)
                return images, *others
            images = tf.cast(images, tf.float32)
            return (images if augmentation is None else augmentation(images, step_seed)), *others

        size = share.size(sampler.batch_size)
        self._load = tf.function(load).get_concrete_function(tf.TensorSpec([], tf.int64))
        self._augment = tf.function(augment).get_concrete_function(*self._load.structured_outputs)

    def from_epoch(self, start_epoch=0):
        """The batches from an epoch on, the first by default.

        Returns:
            A `tf.data.Dataset` of float32 images (P * K, height, width, 3) in 0..255, int32 labels (P * K,)
            and with `teaching` float32 embeddings (P * K, D). With `on_device`, in place of the images a dict of uint8
            `images` and what `Augmentation.drawn` returned. With a `share`, the parts that it holds of the first batch,
            then those of the second, and so on.
        """
        # NumPy holds the interpreter lock, so only TensorFlow's part runs in parallel.
        batches = tf.data.Dataset.counter(start=start_epoch * self._steps * self._share.held).map(self._load)
        return untuned(batches.map(self._augment, num_parallel_calls=2, deterministic=True).prefetch(2))


def evaluation_batches(store, batch_size):
    """All images of an `ImageStore`, once and in order.

    Returns:
        A `tf.data.Dataset` of float32 (n, height, width, 3) in 0..255, where n is `batch_size`, or less in the last
        batch.
    """

    def take(batch):
        return store.take(np.arange(batch * batch_size, min((batch + 1) * batch_size, len(store))))

    @tf.autograph.experimental.do_not_convert
    def load(batch):
        images = tf.numpy_function(take, [batch], tf.uint8)
        images.set_shape([None, *store.image_size, 3])
        return tf.cast(images, tf.float32)

    batches = tf.data.Dataset.range(-(-len(store) // batch_size))
    return untuned(batches.map(load).prefetch(2))


def untuned(dataset):
    """Without the thread that tunes a pipeline, which has nothing to tune here.

    An iterator waits for that thread when it is deleted: half a second after each `fit`, and sometimes a stopped
    process does not end.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def view_seed(seed, rows, total):
    """The `ViewSeed` of the views of a run.

    Args:
        seed: the run's.
        rows: int (N,), rows of views as in `TrainingBatches`.
        total: number of all views.
    """
    return ViewSeed(tf.constant([seed, 1], tf.int64), rows, total)


def _step_seed(seed, epoch, step):
    return tf.random.fold_in(tf.random.fold_in(tf.constant([seed, 0], tf.int64), epoch), step)
