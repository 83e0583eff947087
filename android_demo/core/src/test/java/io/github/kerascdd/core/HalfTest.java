package io.github.kerascdd.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import org.junit.Test;

public class HalfTest {
  @Test
  public void everyFinitePatternComesBack() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      if ((bits >> 10 & 31) != 31) {
        assertEquals(bits, Half.fromFloat(Half.toFloat(bits)) & 0xFFFF);
      }
    }
  }

  @Test
  public void knownValues() {
    assertEquals(1f, Half.toFloat(0x3C00), 0);
    assertEquals(-2f, Half.toFloat(0xC000), 0);
    assertEquals(65504f, Half.toFloat(0x7BFF), 0);
    assertEquals(Math.scalb(1f, -24), Half.toFloat(1), 0);
  }

  @Test
  public void tiesGoToTheEven() {
    float lastPlace = Math.scalb(1f, -10);
    assertEquals(0x3C00, Half.fromFloat(1 + lastPlace / 2));
    assertEquals(0x3C02, Half.fromFloat(1 + 3 * lastPlace / 2));
    assertEquals(0x4000, Half.fromFloat(2 - lastPlace / 2));
  }

  @Test
  public void tooLargeIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> Half.fromFloat(65520f));
    assertThrows(IllegalArgumentException.class, () -> Half.fromFloat(Float.NaN));
  }
}
