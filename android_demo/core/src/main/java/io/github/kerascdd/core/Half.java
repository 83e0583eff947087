package io.github.kerascdd.core;

/** IEEE 754 binary16, which Android supports only since API 26. */
public final class Half {
  private Half() {}

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
