package io.github.kerascdd.core;

/** IEEE 754 binary16, which Android supports only since API 26. */
public final class Half {
  /** The value of each of the 65,536 patterns of 16 bits: a table look-up is faster than computing. */
  private static final class Values {
    static final float[] ALL = new float[1 << 16];

    static {
      for (int bits = 0; bits < ALL.length; bits++) {
        ALL[bits] = toFloat(bits);
      }
    }
  }

  private Half() {}

  /** Product of a query with as many little-endian values, in four independent sums. */
  static float product(float[] query, byte[] values) {
    float[] halves = Values.ALL;
    float a = 0;
    float b = 0;
    float c = 0;
    float d = 0;
    int i = 0;
    int at = 0;
    for (; i + 3 < query.length; i += 4, at += 8) {
      a += query[i] * halves[values[at] & 255 | (values[at + 1] & 255) << 8];
      b += query[i + 1] * halves[values[at + 2] & 255 | (values[at + 3] & 255) << 8];
      c += query[i + 2] * halves[values[at + 4] & 255 | (values[at + 5] & 255) << 8];
      d += query[i + 3] * halves[values[at + 6] & 255 | (values[at + 7] & 255) << 8];
    }
    for (; i < query.length; i++, at += 2) {
      a += query[i] * halves[values[at] & 255 | (values[at + 1] & 255) << 8];
    }
    return a + b + (c + d);
  }

  /** The value of 16 bits. */
  public static float toFloat(int bits) {
    int exponent = bits >> 10 & 31;
    int fraction = bits & 1023;
    float magnitude;
    if (exponent == 31) {
      magnitude = fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
    } else if (exponent == 0) {
      magnitude = Math.scalb((float) fraction, -24);
    } else {
      magnitude = Math.scalb((float) (1024 + fraction), exponent - 25);
    }
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
  }

  /**
   * The bits nearest to a value of magnitude below 65,520, ties to even.
   *
   * @throws IllegalArgumentException for larger values, which binary16 cannot represent.
   */
  public static short fromFloat(float value) {
    float magnitude = Math.abs(value);
    if (!(magnitude < 65520f)) {
      throw new IllegalArgumentException("Argument `value` must be below 65,520. Received: " + value);
    }
    int sign = Float.floatToRawIntBits(value) < 0 ? 0x8000 : 0;
    int exponent = Math.max(Math.getExponent(magnitude), -14);
    // In units in the last place; a carry into the exponent gives the right result.
    int units = (int) Math.rint(Math.scalb((double) magnitude, 10 - exponent));
    return (short) (sign | (exponent + 14 << 10) + units);
  }
}
