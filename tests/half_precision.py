"""Half precision where TensorFlow can compute it."""

import pytest
import tensorflow as tf

POLICIES = ("mixed_float16", "mixed_bfloat16")


def skip_where_refused(policy):
    """Skips a test of a dtype policy where a plain convolution of TensorFlow fails in its compute dtype.

    TensorFlow picks oneDNN's kernels by the processor, and oneDNN refuses what ONEDNN_MAX_CPU_ISA takes from it.
    """
    dtype = policy.removeprefix("mixed_")
    try:
        tf.nn.conv2d(tf.ones((1, 4, 4, 2), dtype), tf.ones((3, 3, 2, 2), dtype), 1, "SAME")
    except tf.errors.AbortedError:
        pytest.skip(f"TensorFlow itself refuses a convolution in {dtype} here")
