package io.github.kerascdd.core;

import java.util.Arrays;

/** The rows with the largest similarities so far, best first; of equal ones those that came first. */
final class Best {
  private final int[] rows;
  private final double[] similarities;
  private int found;

  Best(int most) {
    rows = new int[most];
    similarities = new double[most];
  }

  /** A row must be above this similarity to be taken. */
  double least() {
    if (rows.length == 0) {
      return Double.POSITIVE_INFINITY;
    }
    return found < rows.length ? Double.NEGATIVE_INFINITY : similarities[found - 1];
  }

  /** Takes a row if it is among the best; rows must come in ascending order. */
  void offer(int row, double similarity) {
    if (!(similarity > least())) {
      return;
    }
    int place = found < rows.length ? found++ : found - 1;
    for (; place > 0 && similarities[place - 1] < similarity; place--) {
      similarities[place] = similarities[place - 1];
      rows[place] = rows[place - 1];
    }
    similarities[place] = similarity;
    rows[place] = row;
  }

  int[] rows() {
    return Arrays.copyOf(rows, found);
  }
}
