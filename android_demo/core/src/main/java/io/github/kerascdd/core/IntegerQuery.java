package io.github.kerascdd.core;

/** A query rounded to integers, whose products with int8 embeddings are fast, and by how much they can be wrong. */
final class IntegerQuery {
  /** Bound on how far `product * step * scale` is from the similarity in floats, if the scaled length is 1. */
  final double error;

  /** What a unit of `product` stands for. */
  final double step;

  private final int[] values;

  /** Rounds a query of length 1. */
  IntegerQuery(float[] query) {
    float largest = 0;
    for (float value : query) {
      largest = Math.max(largest, Math.abs(value));
    }
    // The sum of all products fits in 32 bits.
    int limit = Math.min(Short.MAX_VALUE, Integer.MAX_VALUE / 128 / query.length);
    step = (double) largest / limit;
    values = new int[query.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (int) Math.rint(query[i] / step);
    }
    // Each value is wrong by half a step at most, and the absolute values of a row of length 1 sum to sqrt(n) at most.
    // Float similarities, which the result is compared with, are sums of n / 4 numbers, each rounded.
    error = step / 2 * Math.sqrt(query.length) + (query.length / 4 + 4) * 0x1p-24;
  }

  /** Product with the embedding that begins at `from`; a plain loop, which compilers turn into vector instructions. */
  int product(byte[] stored, int from) {
    int[] query = values;
    int sum = 0;
    for (int i = 0; i < query.length; i++) {
      sum += query[i] * stored[from + i];
    }
    return sum;
  }
}
