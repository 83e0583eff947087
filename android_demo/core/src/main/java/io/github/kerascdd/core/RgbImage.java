package io.github.kerascdd.core;

/** Pixels as the model takes them: rows of red, green and blue bytes, height x width x 3. */
public final class RgbImage {
  public final int width;
  public final int height;
  public final byte[] rgb;

  /** Keeps a reference to `rgb`, not a copy. */
  public RgbImage(int width, int height, byte[] rgb) {
    if (width < 1 || height < 1 || rgb.length != (long) width * height * 3) {
      throw new IllegalArgumentException(
          "Argument `rgb` must hold width * height * 3 bytes. Received: " + rgb.length + " for " + width + " x " + height);
    }
    this.width = width;
    this.height = height;
    this.rgb = rgb;
  }

  /** From colours 0xAARRGGBB, row by row; alpha is dropped, as Python does. */
  public static RgbImage fromArgb(int width, int height, int[] argb) {
    byte[] rgb = new byte[argb.length * 3];
    for (int i = 0, to = 0; i < argb.length; i++) {
      rgb[to++] = (byte) (argb[i] >> 16);
      rgb[to++] = (byte) (argb[i] >> 8);
      rgb[to++] = (byte) argb[i];
    }
    return new RgbImage(width, height, rgb);
  }

  /** Opaque colours 0xFFRRGGBB, row by row, for display. */
  public int[] toArgb() {
    int[] argb = new int[width * height];
    for (int i = 0, from = 0; i < argb.length; i++, from += 3) {
      argb[i] = 0xFF000000 | (rgb[from] & 255) << 16 | (rgb[from + 1] & 255) << 8 | rgb[from + 2] & 255;
    }
    return argb;
  }

  /**
   * The image turned upright according to an EXIF orientation.
   *
   * @param orientation 1 to 8 of the EXIF standard; any other value leaves the image as it is.
   */
  public RgbImage upright(int orientation) {
    if (orientation < 2 || orientation > 8) {
      return this;
    }
    boolean swapped = orientation >= 5;
    int newWidth = swapped ? height : width;
    int newHeight = swapped ? width : height;
    byte[] turned = new byte[rgb.length];
    for (int y = 0, to = 0; y < newHeight; y++) {
      for (int x = 0; x < newWidth; x++, to += 3) {
        int column = swapped ? y : x;
        int row = swapped ? x : y;
        // Which stored axis runs backwards: 2, 3, 7, 8 the columns, 3, 4, 6, 7 the rows.
        if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) {
          column = width - 1 - column;
        }
        if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) {
          row = height - 1 - row;
        }
        System.arraycopy(rgb, (row * width + column) * 3, turned, to, 3);
      }
    }
    return new RgbImage(newWidth, newHeight, turned);
  }
}
