package io.github.kerascdd.core;

/**
 * A query rounded to 6 bits, whose products with int8 embeddings are fast, and by how much they can be wrong.
 *
 * <p>A multiplication of 64 bits adds up four products: of factors whose parts are 16 bits apart, the highest part of
 * the product is the sum of the parts' products crosswise. Parts must be from 0 on, and the query's below 64 for the sum to
 * fit. Phones have no faster way that Java reaches.
 */
final class IntegerQuery {
  private static final int LIMIT = 31;
  /** What is added to rounded values, and to bytes, by flipping their signs, so that they are from 0 on. */
  private static final int VALUE_SHIFT = 32;

  private static final int BYTE_SHIFT = 128;
  private static final long SIGNS = 0x8080808080808080L;
  private static final long PARTS = 0x00FF00FF00FF00FFL;

  /** Bound on how far `similarity` is from the similarity in floats. */
  final double error;

  private final double step;
  private final long shift;
  /** Factors for the bytes at even places of every eight bytes of an embedding, and for those at odd places. */
  private final long[] even;

  private final long[] odd;

  /** Rounds a query of length 1. */
  IntegerQuery(float[] query) {
    float largest = 0;
    for (float value : query) {
      largest = Math.max(largest, Math.abs(value));
    }
    step = (double) largest / LIMIT;
    even = new long[(query.length + 7) / 8];
    odd = new long[even.length];
    long sum = 0;
    double squares = 0;
    for (int i = 0; i < query.length; i++) {
      long rounded = Math.round(query[i] / step);
      double rest = query[i] - step * rounded;
      squares += rest * rest;
      long value = rounded + VALUE_SHIFT;
      sum += value;
      // Crosswise: the first byte meets the last part.
      (i % 2 == 0 ? even : odd)[i / 8] |= value << 16 * (3 - i % 8 / 2);
    }
    shift = BYTE_SHIFT * sum;
    // By Cauchy and Schwarz: scaled rows have length 1. Float similarities, which the result is compared with, are sums of
    // n / 4 numbers, each rounded.
    error = 1.00001 * Math.sqrt(squares) + (query.length / 4 + 4) * 0x1p-24;
  }

  /** Similarity of a row of a `VectorTable` that begins at `from`. */
  double similarity(long[] rows, int from) {
    long[] first = even;
    long[] second = odd;
    int at = from + VectorTable.EMBEDDING;
    long sum = 0;
    for (int i = 0; i < first.length; i++) {
      long bytes = rows[at + i] ^ SIGNS;
      sum += ((bytes & PARTS) * first[i] >>> 48) + ((bytes >>> 8 & PARTS) * second[i] >>> 48);
    }
    long product = sum - VALUE_SHIFT * rows[from + VectorTable.TOTAL] - shift;
    return product * step * Double.longBitsToDouble(rows[from + VectorTable.SCALE]);
  }
}
