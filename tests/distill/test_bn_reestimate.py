"""BatchNorm statistics after a change of the weights."""

import keras
import numpy as np

from keras_cdd.distill import reestimate_batch_norm


def test_statistics_follow_a_changed_network():
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    made = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(image)
    model = keras.Model(image, keras.layers.BatchNormalization(momentum=0.9, name="bn")(made))
    images = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype("float32")
    kernel = model.get_layer("conv").kernel
    kernel.assign(3.0 * kernel)
    reestimate_batch_norm(model, (images for _ in range(80)))
    batch = keras.Model(image, made)(images).numpy()
    np.testing.assert_allclose(model.get_layer("bn").moving_mean, batch.mean((0, 1, 2)), rtol=1e-2, atol=1e-3)
