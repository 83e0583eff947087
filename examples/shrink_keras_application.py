"""A network of keras.applications: gate it, fine-tune, shrink, fuse.

    python -m examples.shrink_keras_application

`weights=None` and images of noisy stripes keep it offline and short. With your own weights and data the steps are the
same.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Before keras: on some processors it makes TensorFlow faster.
import keras_cdd  # isort: skip
import keras
import numpy as np

from examples.shrink_own_model import stripes, train

SIZE = (32, 32)
BATCH = 32


def main(count=1024):
    """Trains on `count` images; returns how far outputs of the slim network and its deployed form differ."""
    keras.utils.set_random_seed(0)
    yours = keras.applications.ResNet50(weights=None, input_shape=(*SIZE, 3), classes=4, classifier_activation=None)
    for layer in yours.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # Such a short training from random weights needs statistics that adapt quickly.
    model, optimizer = keras_cdd.gate_model(yours), keras.optimizers.Adam(1e-3)
    images, _ = stripes(8, seed=2, size=SIZE)
    same = np.abs(model.predict(images, verbose=0) - yours.predict(images, verbose=0)).max()
    print(f"gated:  outputs differ by {same:.1e}")
    accuracy = train(model, optimizer, 2, count, BATCH)
    print(f"heavy:  {keras_cdd.count_macs(model):>11,} MACs, accuracy {accuracy:.3f}")
    plan = keras_cdd.plan_surgery(model, target_macs=0.5, round_to=8)
    slim, slim_optimizer = keras_cdd.rebuild(model, plan, optimizer=optimizer)
    accuracy = train(slim, slim_optimizer, 2, count, BATCH)
    print(f"slim:   {keras_cdd.count_macs(slim):>11,} MACs, accuracy {accuracy:.3f}")
    deploy = keras_cdd.fuse(slim)
    change = np.abs(deploy.predict(images, verbose=0) - slim.predict(images, verbose=0)).max()
    print(f"fused:  {len(deploy.layers)} stock layers, outputs differ by {change:.1e}")
    return change


if __name__ == "__main__":
    main()
