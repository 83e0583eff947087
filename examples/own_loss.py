"""Training with an additional loss of your own, in plain Keras: without flags and data set classes.

    python -m examples.own_loss

The loss pulls every embedding towards the mean embedding of its identity in the batch; toy vehicles stand in for your
images.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Before keras: on some processors it makes TensorFlow faster.
import keras_cdd  # isort: skip
import keras
import tensorflow as tf

from keras_cdd.data import ImageStore, PKSampler, load_dataset
from keras_cdd.data.augment import Augmentation
from keras_cdd.data.pipeline import training_batches
from keras_cdd.evaluation import Evaluator
from keras_cdd.optimization import MomentumSGD

SIZE = (32, 32)


def centre_loss(labels, outputs, taught):
    """Mean of 1 - cosine between the embeddings (N, D) and the mean embedding of their identity; scalar.

    Args:
        labels: (N,) integers.
        outputs: the student's outputs, a dict with `embedding`.
        taught: the teacher's outputs; None here, since there is no teacher.
    """
    units = tf.math.l2_normalize(outputs["embedding"], axis=1)
    same = tf.cast(labels[:, None] == labels[None, :], tf.float32)
    centres = tf.math.l2_normalize(tf.matmul(same, units), axis=1)
    return tf.reduce_mean(1.0 - tf.reduce_sum(units * centres, axis=1))


def main(epochs=6):
    """Trains; returns the mAP (0..1) of the network before and after."""
    keras.utils.set_random_seed(0)
    dataset = load_dataset("synthetic")
    store = ImageStore(dataset.train, SIZE)
    sampler = PKSampler(dataset.labels, identities_per_batch=8, images_per_identity=4, seed=0)
    batches = training_batches(store, dataset.labels, sampler, Augmentation(shift=2), seed=0)

    model = keras_cdd.gated_resnet(
        "resnet18", width=8, image_size=SIZE, num_classes=dataset.num_identities, embedding_size=32, stem="small"
    )
    evaluator = Evaluator(dataset, SIZE)
    before = evaluator.evaluate(model).mAP
    distiller = keras_cdd.Distiller(model, own_losses={"centre": (1.0, centre_loss)})
    distiller.compile(MomentumSGD(0.05))
    history = distiller.fit(batches, epochs=epochs, steps_per_epoch=sampler.steps_per_epoch, shuffle=False, verbose=0)
    after = evaluator.evaluate(model).mAP
    losses = ", ".join(f"{loss:.3f}" for loss in history.history["centre_loss"])
    print(f"centre loss by epoch: {losses}\nmAP before {100 * before:.1f} %, after {100 * after:.1f} %")
    return before, after


if __name__ == "__main__":
    main()
