package io.github.kerascdd.core;

/**
 * Exact area averaging in integer arithmetic, to smaller and to larger sizes, byte for byte like
 * `keras_cdd.data.resize`.
 *
 * <p>Along an axis of `in` input and `out` output pixels, lay both on one line of in * out units: an
 * input pixel spans `out` units, an output pixel `in`. An output value is the sum of all inputs, each
 * weighted by the area it shares with the output pixel, divided by the area of an output pixel and
 * rounded to nearest, halves up: (2 * sum + total) / (2 * total), total = input height * input width.
 */
public final class Resizer {
  private Resizer() {}

  /** The image at another size, or the image itself if it has that size already. */
  public static RgbImage resize(RgbImage image, int width, int height) {
    if (width < 1 || height < 1) {
      throw new IllegalArgumentException(
          "Arguments `width` and `height` must be at least 1. Received: " + width + ", " + height);
    }
    if (image.width == width && image.height == height) {
      return image;
    }
    int[] columnStarts = starts(image.width, width);
    int[] rowStarts = starts(image.height, height);
    byte[] rgb = new byte[width * height * 3];
    long total = (long) image.width * image.height;
    long[] sums = new long[width * 3];
    int[] narrow = new int[width * 3];
    int narrowed = -1;
    for (int y = 0; y < height; y++) {
      java.util.Arrays.fill(sums, 0);
      long top = (long) y * image.height;
      long bottom = top + image.height;
      for (int row = rowStarts[y]; (long) row * height < bottom; row++) {
        if (row != narrowed) {
          narrowRow(image, row, width, columnStarts, narrow);
          narrowed = row;
        }
        long shared = Math.min(bottom, (row + 1L) * height) - Math.max(top, (long) row * height);
        for (int i = 0; i < sums.length; i++) {
          sums[i] += shared * narrow[i];
        }
      }
      for (int i = 0, to = y * sums.length; i < sums.length; i++) {
        rgb[to + i] = (byte) ((2 * sums[i] + total) / (2 * total));
      }
    }
    return new RgbImage(width, height, rgb);
  }

  /** For every output pixel the first input pixel that it shares area with. */
  private static int[] starts(int in, int out) {
    int[] starts = new int[out];
    for (int i = 0; i < out; i++) {
      starts[i] = (int) ((long) i * in / out);
    }
    return starts;
  }

  /** One input row, averaged along its width but not yet divided: at most 255 * image.width a value. */
  private static void narrowRow(RgbImage image, int row, int width, int[] starts, int[] narrow) {
    int line = row * image.width * 3;
    for (int x = 0; x < width; x++) {
      long left = (long) x * image.width;
      long right = left + image.width;
      int red = 0;
      int green = 0;
      int blue = 0;
      for (int column = starts[x]; (long) column * width < right; column++) {
        int shared = (int) (Math.min(right, (column + 1L) * width) - Math.max(left, (long) column * width));
        int from = line + column * 3;
        red += shared * (image.rgb[from] & 255);
        green += shared * (image.rgb[from + 1] & 255);
        blue += shared * (image.rgb[from + 2] & 255);
      }
      narrow[x * 3] = red;
      narrow[x * 3 + 1] = green;
      narrow[x * 3 + 2] = blue;
    }
  }
}
