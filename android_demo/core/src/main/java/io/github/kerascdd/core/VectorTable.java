package io.github.kerascdd.core;

import java.util.Arrays;

/** Embeddings in their stored form in one block of memory, and the exact search among them. */
public final class VectorTable {
  /** The value of each of the 65,536 patterns of 16 bits: a table look-up is faster than computing. */
  private static final class Halves {
    static final float[] VALUES = new float[1 << 16];

    static {
      for (int bits = 0; bits < VALUES.length; bits++) {
        VALUES[bits] = Half.toFloat(bits);
      }
    }
  }

  private final EmbeddingType type;
  private final int dimension;
  private final int rowBytes;
  private byte[] stored;
  private double[] scales;
  private int size;

  public VectorTable(EmbeddingType type, int dimension, int expected) {
    this.type = type;
    this.dimension = dimension;
    rowBytes = dimension * type.bytesPerValue;
    stored = new byte[Math.multiplyExact(Math.max(expected, 1), rowBytes)];
    scales = new double[Math.max(expected, 1)];
  }

  public int size() {
    return size;
  }

  /** Appends a stored embedding. */
  public void add(byte[] embedding, double scale) {
    if (embedding.length != rowBytes) {
      throw new IllegalArgumentException(
          "Argument `embedding` must hold " + rowBytes + " bytes. Received: " + embedding.length);
    }
    if (size == scales.length) {
      int larger = size + size / 2 + 16;
      stored = Arrays.copyOf(stored, Math.multiplyExact(larger, rowBytes));
      scales = Arrays.copyOf(scales, larger);
    }
    System.arraycopy(embedding, 0, stored, size * rowBytes, rowBytes);
    scales[size++] = scale;
  }

  /** Removes a row; later rows move up. */
  public void remove(int row) {
    System.arraycopy(stored, (row + 1) * rowBytes, stored, row * rowBytes, (size - row - 1) * rowBytes);
    System.arraycopy(scales, row + 1, scales, row, size - row - 1);
    size--;
  }

  /**
   * The k rows most similar to a unit vector, best first; ties in the order of the rows.
   *
   * <p>Among int8 rows, a first pass in integers leaves out those that its rounding cannot bring among the best. The
   * result is that of comparing all.
   */
  public int[] nearest(float[] query, int k) {
    check(query);
    int[] rows = type == EmbeddingType.INT8 && k > 0 && k < size ? candidates(query, k) : null;
    double[] similarities = new double[rows == null ? size : rows.length];
    for (int i = 0; i < similarities.length; i++) {
      similarities[i] = similarity(query, rows == null ? i : rows[i]);
    }
    int[] best = topK(similarities, k);
    for (int i = 0; rows != null && i < best.length; i++) {
      best[i] = rows[best[i]];
    }
    return best;
  }

  /** Cosine similarity of a row to a unit vector. */
  public double similarity(float[] query, int row) {
    return (type == EmbeddingType.INT8 ? int8Product(query, row) : float16Product(query, row)) * scales[row];
  }

  private void check(float[] query) {
    if (query.length != dimension) {
      throw new IllegalArgumentException(
          "Argument `query` must have " + dimension + " values. Received: " + query.length);
    }
  }

  /** Ascending rows, among them the k most similar. */
  private int[] candidates(float[] query, int k) {
    IntegerQuery rough = new IntegerQuery(query);
    // The best k so far, ascending; a row this far below the least of them is none of the best.
    double[] best = new double[k];
    Arrays.fill(best, Double.NEGATIVE_INFINITY);
    int[] rows = new int[16];
    int found = 0;
    for (int row = 0; row < size; row++) {
      double similarity = rough.product(stored, row * dimension) * rough.step * scales[row];
      if (similarity < best[0] - 2 * rough.error) {
        continue;
      }
      if (found == rows.length) {
        rows = Arrays.copyOf(rows, 2 * found);
      }
      rows[found++] = row;
      int place = 0;
      for (; place + 1 < k && best[place + 1] < similarity; place++) {
        best[place] = best[place + 1];
      }
      best[place] = Math.max(best[place], similarity);
    }
    return Arrays.copyOf(rows, found);
  }

  // Four independent sums, so that the processor need not wait for each addition.

  private float int8Product(float[] query, int row) {
    byte[] values = stored;
    int from = row * dimension;
    float a = 0;
    float b = 0;
    float c = 0;
    float d = 0;
    int i = 0;
    for (; i + 3 < query.length; i += 4) {
      a += query[i] * values[from + i];
      b += query[i + 1] * values[from + i + 1];
      c += query[i + 2] * values[from + i + 2];
      d += query[i + 3] * values[from + i + 3];
    }
    for (; i < query.length; i++) {
      a += query[i] * values[from + i];
    }
    return a + b + (c + d);
  }

  private float float16Product(float[] query, int row) {
    float[] halves = Halves.VALUES;
    byte[] values = stored;
    int from = row * rowBytes;
    float a = 0;
    float b = 0;
    float c = 0;
    float d = 0;
    int i = 0;
    for (; i + 3 < query.length; i += 4, from += 8) {
      a += query[i] * halves[values[from] & 255 | (values[from + 1] & 255) << 8];
      b += query[i + 1] * halves[values[from + 2] & 255 | (values[from + 3] & 255) << 8];
      c += query[i + 2] * halves[values[from + 4] & 255 | (values[from + 5] & 255) << 8];
      d += query[i + 3] * halves[values[from + 6] & 255 | (values[from + 7] & 255) << 8];
    }
    for (; i < query.length; i++, from += 2) {
      a += query[i] * halves[values[from] & 255 | (values[from + 1] & 255) << 8];
    }
    return a + b + (c + d);
  }

  /**
   * The rows of the k largest similarities, best first; ties in the order of their rows.
   *
   * @param similarities as `similarities` gives them.
   */
  public static int[] topK(double[] similarities, int k) {
    int[] best = new int[Math.min(Math.max(k, 0), similarities.length)];
    int found = 0;
    for (int row = 0; row < similarities.length && best.length > 0; row++) {
      if (found == best.length && similarities[row] <= similarities[best[found - 1]]) {
        continue;
      }
      int place = found < best.length ? found++ : found - 1;
      for (; place > 0 && similarities[best[place - 1]] < similarities[row]; place--) {
        best[place] = best[place - 1];
      }
      best[place] = row;
    }
    return best;
  }
}
