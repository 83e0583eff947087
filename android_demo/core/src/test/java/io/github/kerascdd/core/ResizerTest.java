package io.github.kerascdd.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertSame;
import static org.junit.Assert.assertThrows;

import java.util.Random;
import org.junit.Test;

public class ResizerTest {
  private static RgbImage noise(int width, int height, long seed) {
    byte[] rgb = new byte[width * height * 3];
    new Random(seed).nextBytes(rgb);
    return new RgbImage(width, height, rgb);
  }

  /** The definition, taken literally: enlarge without change, then average. */
  private static byte[] averaged(RgbImage image, int width, int height) {
    byte[] rgb = new byte[width * height * 3];
    long total = (long) image.width * image.height;
    for (int i = 0; i < rgb.length; i++) {
      int x = i / 3 % width;
      int y = i / 3 / width;
      long sum = 0;
      for (int row = y * image.height; row < (y + 1) * image.height; row++) {
        for (int column = x * image.width; column < (x + 1) * image.width; column++) {
          sum += image.rgb[(row / height * image.width + column / width) * 3 + i % 3] & 255;
        }
      }
      rgb[i] = (byte) ((2 * sum + total) / (2 * total));
    }
    return rgb;
  }

  @Test
  public void everySizeFollowsTheDefinition() {
    int[][] sizes = {{7, 5, 3, 2}, {8, 8, 4, 4}, {5, 7, 11, 13}, {1, 1, 6, 4}, {9, 4, 1, 1}, {16, 3, 5, 9}, {13, 17, 13, 4}};
    for (int[] s : sizes) {
      RgbImage image = noise(s[0], s[1], s[0]);
      assertArrayEquals(averaged(image, s[2], s[3]), Resizer.resize(image, s[2], s[3]).rgb);
    }
  }

  @Test
  public void theSameSizeIsTheSameImage() {
    RgbImage image = noise(4, 3, 1);
    assertSame(image, Resizer.resize(image, 4, 3));
  }

  @Test
  public void whiteStaysWhiteInALargePhoto() {
    byte[] white = new byte[4000 * 3000 * 3];
    java.util.Arrays.fill(white, (byte) 255);
    byte[] expected = new byte[64 * 64 * 3];
    java.util.Arrays.fill(expected, (byte) 255);
    assertArrayEquals(expected, Resizer.resize(new RgbImage(4000, 3000, white), 64, 64).rgb);
  }

  @Test
  public void noPixelsAreNoSize() {
    assertThrows(IllegalArgumentException.class, () -> Resizer.resize(noise(2, 2, 1), 0, 2));
  }
}
