package io.github.kerascdd.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Random;
import org.junit.Test;

public class VectorTableTest {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  static float[] randomUnit(Random random, int dimension) {
    float[] vector = new float[dimension];
    for (int i = 0; i < dimension; i++) {
      vector[i] = (float) random.nextGaussian();
    }
    return Vectors.unit(vector);
  }

  private static double[] similarities(VectorTable table, float[] query) {
    double[] all = new double[table.size()];
    for (int row = 0; row < all.length; row++) {
      all[row] = table.similarity(query, row);
    }
    return all;
  }

  private static void add(VectorTable table, EmbeddingType type, float[] unit) {
    byte[] stored = type.encode(unit);
    table.add(stored, type.scaleOf(stored));
  }

  @Test
  public void similarityIsTheCosineOfWhatIsStored() {
    Random random = new Random(1);
    for (EmbeddingType type : EmbeddingType.values()) {
      for (int dimension : new int[] {1, 7, 64, 513}) {
        VectorTable table = new VectorTable(type, dimension, 0);
        float[] query = randomUnit(random, dimension);
        double[] expected = new double[20];
        for (int row = 0; row < 20; row++) {
          byte[] stored = type.encode(randomUnit(random, dimension));
          double product = 0;
          double squares = 0;
          for (int i = 0; i < dimension; i++) {
            product += query[i] * (double) type.decode(stored, i);
            squares += (double) type.decode(stored, i) * type.decode(stored, i);
          }
          expected[row] = product / Math.sqrt(squares);
          table.add(stored, type.scaleOf(stored));
        }
        assertArrayEquals(expected, similarities(table, query), 1e-6);
      }
    }
  }

  @Test
  public void anEncodedVectorIsCloseToItself() {
    Random random = new Random(2);
    for (EmbeddingType type : EmbeddingType.values()) {
      VectorTable table = new VectorTable(type, 64, 1);
      float[] vector = randomUnit(random, 64);
      add(table, type, vector);
      assertEquals(1, table.similarity(vector, 0), 2e-4);
    }
  }

  @Test
  public void theBestComeFirstAndEqualOnesInOrder() {
    double[] similarities = {0.1, 0.9, 0.5, 0.9, -1, 0.5};
    assertArrayEquals(new int[] {1, 3, 2, 5}, VectorTable.topK(similarities, 4));
    assertArrayEquals(new int[] {1, 3, 2, 5, 0, 4}, VectorTable.topK(similarities, 99));
    assertArrayEquals(new int[0], VectorTable.topK(similarities, 0));
    assertArrayEquals(new int[0], VectorTable.topK(new double[0], 3));
  }

  /** Near rows, equal rows, rows in ascending and descending order of likeness, a query with one large value. */
  @Test
  public void theNearestAreTheBestOfAll() {
    Random random = new Random(5);
    for (EmbeddingType type : EmbeddingType.values()) {
      for (int dimension : new int[] {1, 7, 128, 2048}) {
        for (double spread : new double[] {0, 1e-3, 1}) {
          float[] query = randomUnit(random, dimension);
          query[0] *= spread == 0 ? 1000 : 1;
          query = Vectors.unit(query);
          VectorTable table = new VectorTable(type, dimension, 0);
          for (int row = 0; row < 300; row++) {
            float[] near = randomUnit(random, dimension);
            double distance = spread * (row < 100 ? row : row < 200 ? 200 - row : 1);
            for (int i = 0; i < dimension; i++) {
              near[i] = (float) (query[i] + 0.7 * distance * near[i]);
            }
            add(table, type, Vectors.unit(near));
          }
          for (int k : new int[] {0, 1, 5, 299, 300, 400}) {
            assertArrayEquals(VectorTable.topK(similarities(table, query), k), table.nearest(query, k));
          }
        }
      }
    }
  }

  @Test
  public void removedRowsAreGoneAndTheOthersStay() {
    Random random = new Random(3);
    VectorTable table = new VectorTable(EmbeddingType.FLOAT16, 8, 0);
    for (int row = 0; row < 50; row++) {
      add(table, EmbeddingType.FLOAT16, randomUnit(random, 8));
    }
    float[] query = randomUnit(random, 8);
    double[] before = similarities(table, query);
    table.remove(0);
    table.remove(48);
    assertArrayEquals(java.util.Arrays.copyOfRange(before, 1, 49), similarities(table, query), 0);
  }

  /** Finds a planted vector among 100,000 of 512 values, and prints how long that takes on one thread. */
  @Test
  public void aHundredThousandAreSearchedAtOnce() {
    Random random = new Random(4);
    for (EmbeddingType type : EmbeddingType.values()) {
      VectorTable table = new VectorTable(type, 512, 100_001);
      byte[] stored = new byte[512 * type.bytesPerValue];
      for (int row = 0; row < 100_000; row++) {
        random.nextBytes(stored);
        for (int i = 1; i < stored.length; i += 2) {
          stored[i] &= 0x3F; // no infinities
        }
        table.add(stored, type.scaleOf(stored));
      }
      float[] query = randomUnit(random, 512);
      add(table, type, query);
      double best = Double.MAX_VALUE;
      for (int run = 0; run < 15; run++) {
        long start = THREADS.getCurrentThreadCpuTime();
        int[] found = table.nearest(query, 5);
        best = Math.min(best, (THREADS.getCurrentThreadCpuTime() - start) / 1e6);
        assertEquals(5, found.length);
        assertEquals(100_000, found[0]);
      }
      double plain = Double.MAX_VALUE;
      for (int run = 0; run < 5; run++) {
        long start = THREADS.getCurrentThreadCpuTime();
        assertEquals(100_000, VectorTable.topK(similarities(table, query), 5)[0]);
        plain = Math.min(plain, (THREADS.getCurrentThreadCpuTime() - start) / 1e6);
      }
      System.out.printf("top 5 of 100,000 x 512 %s: %.1f ms on one thread, %.1f ms plainly%n", type.text, best, plain);
    }
  }
}
