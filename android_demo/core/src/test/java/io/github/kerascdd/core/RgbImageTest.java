package io.github.kerascdd.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import org.junit.Test;

public class RgbImageTest {
  /** Upright:  1 2   in red, as each EXIF orientation stores it. */
  //           3 4
  //           5 6
  private static final int[] UPRIGHT = {1, 2, 3, 4, 5, 6};

  private static final int[][] STORED = {
    {1, 2, 3, 4, 5, 6}, {2, 1, 4, 3, 6, 5}, {6, 5, 4, 3, 2, 1}, {5, 6, 3, 4, 1, 2},
    {1, 3, 5, 2, 4, 6}, {2, 4, 6, 1, 3, 5}, {6, 4, 2, 5, 3, 1}, {5, 3, 1, 6, 4, 2}
  };

  private static int[] reds(RgbImage image) {
    int[] reds = new int[image.width * image.height];
    for (int i = 0; i < reds.length; i++) {
      reds[i] = image.rgb[3 * i];
    }
    return reds;
  }

  @Test
  public void everyOrientationComesUpright() {
    for (int orientation = 1; orientation <= 8; orientation++) {
      boolean lying = orientation >= 5;
      int[] argb = new int[6];
      for (int i = 0; i < 6; i++) {
        argb[i] = STORED[orientation - 1][i] << 16;
      }
      RgbImage image = RgbImage.fromArgb(lying ? 3 : 2, lying ? 2 : 3, argb).upright(orientation);
      assertEquals(2, image.width);
      assertArrayEquals("orientation " + orientation, UPRIGHT, reds(image));
    }
  }

  @Test
  public void coloursGoInAndOut() {
    int[] argb = {0xFF0180FE, 0xFF7F00FF};
    assertArrayEquals(argb, RgbImage.fromArgb(2, 1, argb).toArgb());
  }
}
