package io.github.kerascdd.core;

import java.io.BufferedOutputStream;
import java.io.File;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * Finds a planted vector among made ones in a mapped file, and prints how long a search takes on one thread beside a
 * plain loop over the same file: rows, dimension and folder are its arguments.
 */
public final class SearchBenchmark {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
  private static final int TOP = 5;

  private SearchBenchmark() {}

  /** Fails if the planted vector is not found first, or both ways differ. */
  public static void main(String[] arguments) throws Exception {
    int count = Integer.parseInt(arguments[0]);
    int dimension = Integer.parseInt(arguments[1]);
    File folder = new File(arguments[2]);
    EmbeddingType type = EmbeddingType.INT8;
    float[] query = VectorTableTest.randomUnit(new Random(4), dimension);
    File gallery = new File(folder, "gallery");
    Files.write(new java.io.ByteArrayInputStream(new byte[0]), gallery, 0);
    VectorFile file = new VectorFile(gallery, new File(folder, "vectors"));
    file.write(out -> writeRows(new BufferedOutputStream(out), type, query, count));
    int rowBytes = VectorTable.rowBytes(type, dimension);
    List<ByteBuffer> segments = file.map(rowBytes);
    VectorTable table = new VectorTable(type, dimension, segments);
    double ours = Double.MAX_VALUE;
    double plain = Double.MAX_VALUE;
    for (int run = 0; run < 12; run++) {
      long start = THREADS.getCurrentThreadCpuTime();
      int[] found = table.nearest(query, TOP);
      long between = THREADS.getCurrentThreadCpuTime();
      int[] best = plainly(query, segments, rowBytes);
      long end = THREADS.getCurrentThreadCpuTime();
      if (found.length != TOP || found[0] != count / 2 || !Arrays.equals(found, best)) {
        throw new AssertionError("found " + Arrays.toString(found) + " and plainly " + Arrays.toString(best));
      }
      ours = Math.min(ours, (between - start) / 1e6);
      plain = Math.min(plain, (end - between) / 1e6);
    }
    System.out.printf(
        "top %d of %,d x %d %s: %.1f ms on one thread, %.1f ms plainly, heap of %d MB at most%n",
        TOP, count, dimension, type.text, ours, plain, Runtime.getRuntime().maxMemory() >> 20);
  }

  private static void writeRows(OutputStream out, EmbeddingType type, float[] query, int count) throws java.io.IOException {
    Random random = new Random(5);
    byte[] stored = new byte[query.length];
    for (int row = 0; row < count; row++) {
      random.nextBytes(stored);
      byte[] values = row == count / 2 ? type.encode(query) : stored;
      out.write(VectorTable.row(type, query.length, row, values, type.scaleOf(values)));
    }
    out.flush();
  }

  /** The most similar rows, read from the mapped file number by number. */
  private static int[] plainly(float[] query, List<ByteBuffer> segments, int rowBytes) {
    Best best = new Best(TOP);
    int row = 0;
    for (ByteBuffer segment : segments) {
      ByteBuffer bytes = segment.duplicate().order(ByteOrder.LITTLE_ENDIAN);
      for (int at = 0; at < bytes.limit(); at += rowBytes, row++) {
        float sum = 0;
        for (int i = 0; i < query.length; i++) {
          sum += query[i] * bytes.get(at + 8 * VectorTable.EMBEDDING + i);
        }
        best.offer(row, sum * bytes.getDouble(at + 8 * VectorTable.SCALE));
      }
    }
    return best.rows();
  }
}
