package io.github.kerascdd.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.Test;

public class VectorTableTest {
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
    table.add(table.size(), stored, type.scaleOf(stored));
  }

  private static VectorTable empty(EmbeddingType type, int dimension) {
    return new VectorTable(type, dimension, Collections.emptyList());
  }

  /** Rows with the ids from 0 in buffers of ten rows each. */
  private static VectorTable ofGiven(int segments, byte[] embedding) {
    List<ByteBuffer> given = new ArrayList<>();
    for (int segment = 0; segment < segments; segment++) {
      ByteBuffer rows = ByteBuffer.allocateDirect(10 * VectorTable.rowBytes(EmbeddingType.INT8, embedding.length));
      for (long id = 10 * segment; rows.hasRemaining(); id++) {
        rows.put(VectorTable.row(EmbeddingType.INT8, embedding.length, id, embedding, 1));
      }
      rows.rewind();
      given.add(rows);
    }
    return new VectorTable(EmbeddingType.INT8, embedding.length, given);
  }

  private static long[] ids(VectorTable table, int[] rows) {
    return Arrays.stream(rows).mapToLong(table::id).toArray();
  }

  /** The best k by comparing all; ties in the order of the rows. */
  private static int[] bestOfAll(double[] similarities, int k) {
    List<Integer> rows = new ArrayList<>();
    for (int row = 0; row < similarities.length; row++) {
      rows.add(row);
    }
    rows.sort((a, b) -> Double.compare(similarities[b], similarities[a])); // stable
    int[] best = new int[Math.min(k, rows.size())];
    for (int i = 0; i < best.length; i++) {
      best[i] = rows.get(i);
    }
    return best;
  }

  @Test
  public void similarityIsTheCosineOfWhatIsStored() {
    Random random = new Random(1);
    for (EmbeddingType type : EmbeddingType.values()) {
      for (int dimension : new int[] {1, 7, 64, 513}) {
        VectorTable table = empty(type, dimension);
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
          table.add(row, stored, type.scaleOf(stored));
        }
        assertArrayEquals(expected, similarities(table, query), 1e-6);
      }
    }
  }

  @Test
  public void anEncodedVectorIsCloseToItself() {
    Random random = new Random(2);
    for (EmbeddingType type : EmbeddingType.values()) {
      VectorTable table = empty(type, 64);
      float[] vector = randomUnit(random, 64);
      add(table, type, vector);
      assertEquals(1, table.similarity(vector, 0), 2e-4);
    }
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
          VectorTable table = empty(type, dimension);
          for (int row = 0; row < 300; row++) {
            float[] near = randomUnit(random, dimension);
            double distance = spread * (row < 100 ? row : row < 200 ? 200 - row : 1);
            for (int i = 0; i < dimension; i++) {
              near[i] = (float) (query[i] + 0.7 * distance * near[i]);
            }
            add(table, type, Vectors.unit(near));
          }
          for (int k : new int[] {0, 1, 5, 299, 300, 400}) {
            assertArrayEquals(bestOfAll(similarities(table, query), k), table.nearest(query, k));
          }
        }
      }
    }
  }

  @Test
  public void removedRowsAreGoneAndTheOthersStay() {
    Random random = new Random(3);
    VectorTable table = empty(EmbeddingType.FLOAT16, 8);
    for (int row = 0; row < 50; row++) {
      add(table, EmbeddingType.FLOAT16, randomUnit(random, 8));
    }
    float[] query = randomUnit(random, 8);
    long[] before = ids(table, table.nearest(query, 50));
    long gone = before[20];
    table.remove(gone);
    table.remove(gone);
    table.remove(1000);
    assertEquals(49, table.size());
    long[] left = Arrays.stream(before).filter(id -> id != gone).toArray();
    assertArrayEquals(left, ids(table, table.nearest(query, 50)));
    assertArrayEquals(Arrays.copyOf(left, 30), ids(table, table.nearest(query, 30)));
    for (int position = 0; position < 49; position++) {
      assertEquals(position < gone ? position : position + 1, table.id(table.rowAt(position)));
    }
  }

  @Test
  public void anIdThatWasRemovedCanBeGivenAgain() {
    VectorTable table = empty(EmbeddingType.INT8, 2);
    table.add(7, new byte[] {1, 0}, 1);
    table.remove(7);
    table.add(7, new byte[] {0, 1}, 1);
    assertArrayEquals(new int[] {0}, table.nearest(new float[] {1, 0}, 5));
    table.remove(7);
    assertEquals(0, table.size());
  }

  @Test
  public void aGivenIdThatWasRemovedCanBeGivenAgain() {
    VectorTable table = ofGiven(2, new byte[] {1, 0});
    table.remove(19);
    table.add(19, new byte[] {0, 1}, 1);
    assertArrayEquals(new int[] {20}, table.nearest(new float[] {0, 1}, 1));
    table.remove(19);
    table.remove(9);
    table.remove(9);
    assertEquals(18, table.size());
    assertEquals(8, table.id(table.rowAt(8)));
    assertEquals(10, table.id(table.rowAt(9)));
    assertEquals(18, table.id(table.rowAt(17)));
  }

  /** The number of a row is its place in memory. */
  @Test
  public void addingAndRemovingTakesNoMoreMemory() {
    VectorTable table = ofGiven(2, new byte[] {1, 0});
    table.add(100, new byte[] {1, 0}, 1);
    for (int round = 1; round <= 1000; round++) {
      table.add(100 + round, new byte[] {0, 1}, round / 1000.0);
      assertArrayEquals(new int[] {21}, table.nearest(new float[] {0, 1}, 1));
      table.remove(99 + round);
      assertEquals(21, table.size());
      assertEquals(100 + round, table.id(20));
      assertEquals(round / 1000.0, table.similarity(new float[] {0, 1}, 20), 0);
    }
  }

  @Test
  public void removingMakesNoObjectPerRow() {
    VectorTable table = ofGiven(100, new byte[] {1, 0});
    table.remove(999); // load what it needs
    com.sun.management.ThreadMXBean thread = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    long me = Thread.currentThread().getId();
    long before = thread.getThreadAllocatedBytes(me);
    table.remove(0);
    long bytes = thread.getThreadAllocatedBytes(me) - before;
    assertEquals(998, table.size());
    assertTrue(bytes + " bytes", bytes < 10_000);
  }
}
