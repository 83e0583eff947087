"""The gradient reset at the paper's size, beside the bare matrix products that its search of neighbours needs.

    python -m benchmarks.reset --queue=24000 --rounds=7

33 sites with the widths of the blocks of a ResNet-101, batches of 96 images, 2 neighbours, a full queue of random
vectors.
"""

import argparse

# Before TensorFlow, whose oneDNN kernels it switches on.
import keras_cdd  # noqa: F401  # isort: skip
import tensorflow as tf

from benchmarks.turns import in_turns, table
from keras_cdd.distill import EmbeddingQueue, GradientReset
from keras_cdd.distill.embedding_queue import QUEUE_DTYPES

# Width of the inner convolutions -> number of blocks.
BLOCKS = {64: 3, 128: 4, 256: 23, 512: 3}
BATCH, NEIGHBOURS = 96, 2
BARE = "matrix products alone, float32"


def main(options):
    widths = {f"{width}/{number}": width for width, blocks in BLOCKS.items() for number in range(blocks)}
    teacher, student = ({site: tf.random.normal((BATCH, width)) for site, width in widths.items()} for _ in range(2))
    tasks, beside = {}, {}
    for dtype in QUEUE_DTYPES:
        queue = EmbeddingQueue(options.queue, widths, dtype)
        for rows in queue.rows.values():
            rows.assign(tf.cast(tf.random.normal(rows.shape), dtype))
        queue.written.assign(options.queue)
        reset = GradientReset(queue, {site: range(width) for site, width in widths.items()}, neighbours=NEIGHBOURS)
        if dtype == "float32":
            tasks[BARE] = (tf.function(lambda queue=queue: products(queue, teacher)), 1)
        tasks[f"reset, {dtype} queue"] = (tf.function(lambda reset=reset: reset.update(teacher, student)), 1)
        beside[f"reset, {dtype} queue"] = BARE
    print(f"{len(widths)} sites, batch {BATCH}, queue {options.queue}, {NEIGHBOURS} neighbours\n")
    print(table(in_turns(tasks, options.rounds), beside, unit=None))


def products(queue, teacher):
    """One value of each product, so that none of them is left out."""
    found = [tf.matmul(teacher[site], rows.value, transpose_b=True)[0, 0] for site, rows in queue.rows.items()]
    return tf.add_n(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queue", type=int, default=24_000, help="Images in the queue.")
    parser.add_argument("--rounds", type=int, default=7, help="Turns of each row.")
    main(parser.parse_args())
