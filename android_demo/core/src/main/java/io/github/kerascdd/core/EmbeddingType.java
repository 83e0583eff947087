package io.github.kerascdd.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** How a gallery stores an embedding: `stored * scale` has length 1. */
public enum EmbeddingType {
  INT8("int8", 1) {
    @Override
    public byte[] encode(float[] unit) {
      float largest = 0;
      for (float value : unit) {
        largest = Math.max(largest, Math.abs(value));
      }
      byte[] stored = new byte[unit.length];
      for (int i = 0; i < unit.length; i++) {
        stored[i] = (byte) Math.rint(127.0 * unit[i] / largest);
      }
      return stored;
    }

    @Override
    public float decode(byte[] stored, int index) {
      return stored[index];
    }
  },

  FLOAT16("float16", 2) {
    @Override
    public byte[] encode(float[] unit) {
      ByteBuffer stored = ByteBuffer.allocate(2 * unit.length).order(ByteOrder.LITTLE_ENDIAN);
      for (float value : unit) {
        stored.putShort(Half.fromFloat(value));
      }
      return stored.array();
    }

    @Override
    public float decode(byte[] stored, int index) {
      return Half.toFloat(stored[2 * index] & 255 | (stored[2 * index + 1] & 255) << 8);
    }
  };

  /** Name of the type in the gallery's `embedding_type`. */
  public final String text;

  public final int bytesPerValue;

  EmbeddingType(String text, int bytesPerValue) {
    this.text = text;
    this.bytesPerValue = bytesPerValue;
  }

  /** The stored bytes of a unit vector. */
  public abstract byte[] encode(float[] unit);

  /** One stored value, unscaled. */
  public abstract float decode(byte[] stored, int index);

  /** 1 / length of the stored vector; not finite for zero vectors and NaN. */
  public final double scaleOf(byte[] stored) {
    double squares = 0;
    for (int i = 0; i < stored.length / bytesPerValue; i++) {
      double value = decode(stored, i);
      squares += value * value;
    }
    return 1 / Math.sqrt(squares);
  }

  /** The type of that name, or null. */
  public static EmbeddingType named(String text) {
    for (EmbeddingType type : values()) {
      if (type.text.equals(text)) {
        return type;
      }
    }
    return null;
  }
}
