package io.github.kerascdd.desktop;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertThrows;

import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.RgbImage;
import java.awt.image.BufferedImage;
import java.io.File;
import java.nio.file.Files;
import javax.imageio.ImageIO;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class PhotoReaderTest {
  @Rule public final TemporaryFolder temporary = new TemporaryFolder();

  @Test
  public void grayKeepsItsValues() throws Exception {
    BufferedImage gray = new BufferedImage(3, 1, BufferedImage.TYPE_BYTE_GRAY);
    gray.getRaster().setSamples(0, 0, 3, 1, 0, new int[] {0, 100, 255});
    File file = temporary.newFile("gray.png");
    ImageIO.write(gray, "png", file);
    RgbImage image = PhotoReader.read(file);
    assertArrayEquals(new byte[] {0, 0, 0, 100, 100, 100, -1, -1, -1}, image.rgb);
  }

  @Test
  public void transparencyIsDroppedNotBlended() throws Exception {
    BufferedImage clear = new BufferedImage(1, 1, BufferedImage.TYPE_INT_ARGB);
    clear.setRGB(0, 0, 0x200A141E);
    File file = temporary.newFile("clear.png");
    ImageIO.write(clear, "png", file);
    assertArrayEquals(new byte[] {10, 20, 30}, PhotoReader.read(file).rgb);
  }

  @Test
  public void whatIsNoPhotoIsRefused() throws Exception {
    File text = temporary.newFile("text.png");
    Files.write(text.toPath(), "not a picture".getBytes("US-ASCII"));
    assertThrows(InvalidFileException.class, () -> PhotoReader.read(text));
    assertThrows(InvalidFileException.class, () -> PhotoReader.read(new File("no such file.png")));
  }
}
