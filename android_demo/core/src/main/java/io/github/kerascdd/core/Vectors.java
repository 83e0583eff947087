package io.github.kerascdd.core;

/** Converts the output of an interpreter to vectors for the search. */
public final class Vectors {
  private Vectors() {}

  /**
   * Real values of an integer tensor.
   *
   * @param signed true for int8, false for uint8.
   */
  public static float[] dequantize(byte[] values, boolean signed, float scale, int zeroPoint) {
    float[] real = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      real[i] = scale * ((signed ? values[i] : values[i] & 255) - zeroPoint);
    }
    return real;
  }

  /**
   * The vector at length 1.
   *
   * @throws ArithmeticException if the vector is zero or contains NaN or infinity.
   */
  public static float[] unit(float[] vector) {
    double squares = 0;
    for (float value : vector) {
      squares += (double) value * value;
    }
    double length = Math.sqrt(squares);
    if (!(length > 0) || Double.isInfinite(length)) {
      throw new ArithmeticException("The model gave an embedding without a direction (length " + length + ")");
    }
    float[] unit = new float[vector.length];
    for (int i = 0; i < unit.length; i++) {
      unit[i] = (float) (vector[i] / length);
    }
    return unit;
  }
}
