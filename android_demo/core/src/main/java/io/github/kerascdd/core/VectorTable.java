package io.github.kerascdd.core;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * Embeddings in their stored form, and the exact search among them.
 *
 * <p>Rows that were there from the start stay where their buffers have them, as in a mapped file. Only rows that are
 * added take memory. Rows are numbered by their place. The place of a removed one is left out if it was there from the
 * start; else the rows behind it move up.
 *
 * <p>A row is a number of longs: the id, the scale, the sum of the embedding's bytes, and the embedding, filled up with
 * zeros.
 */
public final class VectorTable {
  static final int SCALE = 1;
  static final int TOTAL = 2;
  static final int EMBEDDING = 3;

  /** Of rows that are compared at a time, copied to where they stay in the processor's first cache. */
  private static final int BLOCK = (1 << 13) / Long.BYTES;

  private final EmbeddingType type;
  private final int dimension;
  private final int rowLongs;
  private final List<LongBuffer> given = new ArrayList<>();
  /** Of the given rows. */
  private final BitSet removed = new BitSet();
  private LongBuffer added = LongBuffer.allocate(0);
  private int rows;

  /** A table of the rows in buffers that `VectorFile` maps; of none, an empty one. */
  public VectorTable(EmbeddingType type, int dimension, List<ByteBuffer> given) {
    this.type = type;
    this.dimension = dimension;
    rowLongs = rowBytes(type, dimension) / Long.BYTES;
    for (ByteBuffer segment : given) {
      LongBuffer longs = segment.duplicate().order(ByteOrder.LITTLE_ENDIAN).asLongBuffer();
      rows += longs.limit() / rowLongs;
      this.given.add(longs);
    }
  }

  static int rowBytes(EmbeddingType type, int dimension) {
    return (EMBEDDING + (dimension * type.bytesPerValue + Long.BYTES - 1) / Long.BYTES) * Long.BYTES;
  }

  /** The bytes of a row. */
  static byte[] row(EmbeddingType type, int dimension, long id, byte[] embedding, double scale) {
    if (embedding.length != dimension * type.bytesPerValue) {
      throw new IllegalArgumentException(
          "Argument `embedding` must hold " + dimension * type.bytesPerValue + " bytes. Received: " + embedding.length);
    }
    long total = 0;
    for (byte value : embedding) {
      total += value;
    }
    ByteBuffer row = ByteBuffer.allocate(rowBytes(type, dimension)).order(ByteOrder.LITTLE_ENDIAN);
    return row.putLong(id).putDouble(scale).putLong(total).put(embedding).array();
  }

  /** Number of rows without those that were removed. */
  public int size() {
    return rows - removed.cardinality();
  }

  /** Appends a stored embedding; ids must ascend. */
  public void add(long id, byte[] embedding, double scale) {
    byte[] row = row(type, dimension, id, embedding, scale);
    if (added.remaining() < rowLongs) {
      LongBuffer larger = LongBuffer.allocate(Math.max(16 * rowLongs, Math.multiplyExact(2, added.capacity())));
      ((Buffer) added).flip();
      added = larger.put(added);
    }
    added.put(ByteBuffer.wrap(row).order(ByteOrder.LITTLE_ENDIAN).asLongBuffer());
    rows++;
  }

  /** Removes the row of an id, if there is one. */
  public void remove(long id) {
    // From the end: an id that was removed and given again belongs to the later row.
    int row = rows;
    for (int at = added.position() - rowLongs; at >= 0; at -= rowLongs) {
      row--;
      if (added.get(at) == id) {
        int behind = at + rowLongs;
        System.arraycopy(added.array(), behind, added.array(), at, added.position() - behind);
        ((Buffer) added).position(added.position() - rowLongs);
        rows--;
        return;
      }
    }
    for (int i = given.size() - 1; i >= 0; i--) {
      LongBuffer segment = given.get(i);
      for (int at = segment.limit() - rowLongs; at >= 0; at -= rowLongs) {
        row--;
        if (segment.get(at) == id && !removed.get(row)) {
          removed.set(row);
          return;
        }
      }
    }
  }

  /** The row at a position among those that were not removed. */
  public int rowAt(int position) {
    int row = position;
    for (int gone = removed.nextSetBit(0); gone >= 0 && gone <= row; gone = removed.nextSetBit(gone + 1)) {
      row++;
    }
    return row;
  }

  public long id(int row) {
    long[] id = new long[1];
    copy(row, id);
    return id[0];
  }

  /** Cosine similarity of a row to a unit vector. */
  public double similarity(float[] query, int row) {
    check(query);
    long[] copy = new long[rowLongs];
    copy(row, copy);
    return similarity(query, copy, 0, new byte[dimension * type.bytesPerValue]);
  }

  /**
   * The k rows most similar to a unit vector, best first; ties in the order of the rows.
   *
   * <p>Among int8 rows, products in integers leave out those that their rounding cannot bring among the best. The result
   * is that of comparing all.
   */
  public int[] nearest(float[] query, int k) {
    check(query);
    Best best = new Best(Math.min(Math.max(k, 0), size()));
    IntegerQuery rough = type == EmbeddingType.INT8 ? new IntegerQuery(query) : null;
    long[] block = new long[Math.max(1, BLOCK / rowLongs) * rowLongs];
    byte[] embedding = new byte[dimension * type.bytesPerValue];
    int row = 0;
    for (LongBuffer segment : segments()) {
      while (segment.hasRemaining()) {
        int length = Math.min(block.length, segment.remaining());
        segment.get(block, 0, length);
        for (int at = 0; at < length; at += rowLongs, row++) {
          boolean near = rough == null || rough.similarity(block, at) >= best.least() - rough.error;
          if (near && !removed.get(row)) {
            best.offer(row, similarity(query, block, at, embedding));
          }
        }
      }
    }
    return best.rows();
  }

  private void check(float[] query) {
    if (query.length != dimension) {
      throw new IllegalArgumentException(
          "Argument `query` must have " + dimension + " values. Received: " + query.length);
    }
  }

  /** All rows, as buffers from their first row to behind their last one. */
  private List<LongBuffer> segments() {
    List<LongBuffer> segments = new ArrayList<>();
    for (LongBuffer segment : given) {
      segments.add(segment.duplicate());
    }
    LongBuffer last = added.duplicate();
    ((Buffer) last).flip();
    segments.add(last);
    return segments;
  }

  /** Fills `to` from the beginning of a row. */
  private void copy(int row, long[] to) {
    int before = 0;
    for (LongBuffer segment : segments()) {
      int here = segment.limit() / rowLongs;
      if (row < before + here) {
        ((Buffer) segment).position((row - before) * rowLongs);
        segment.get(to);
        return;
      }
      before += here;
    }
    throw new IndexOutOfBoundsException("There is no row " + row);
  }

  /** The row that begins at `from`; `embedding` is room for its bytes. */
  private double similarity(float[] query, long[] block, int from, byte[] embedding) {
    for (int i = 0; i < embedding.length; i++) {
      embedding[i] = (byte) (block[from + EMBEDDING + i / Long.BYTES] >>> Byte.SIZE * (i % Long.BYTES));
    }
    float product = type == EmbeddingType.INT8 ? product(query, embedding) : Half.product(query, embedding);
    return product * Double.longBitsToDouble(block[from + SCALE]);
  }

  /** Four independent sums, so that the processor need not wait for each addition. */
  private static float product(float[] query, byte[] values) {
    float a = 0;
    float b = 0;
    float c = 0;
    float d = 0;
    int i = 0;
    for (; i + 3 < query.length; i += 4) {
      a += query[i] * values[i];
      b += query[i + 1] * values[i + 1];
      c += query[i + 2] * values[i + 2];
      d += query[i + 3] * values[i + 3];
    }
    for (; i < query.length; i++) {
      a += query[i] * values[i];
    }
    return a + b + (c + d);
  }
}
