package io.github.kerascdd.desktop;

import com.drew.imaging.ImageMetadataReader;
import com.drew.imaging.ImageProcessingException;
import com.drew.metadata.Directory;
import com.drew.metadata.exif.ExifIFD0Directory;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.RgbImage;
import java.awt.image.BufferedImage;
import java.awt.image.DataBuffer;
import java.awt.image.IndexColorModel;
import java.io.File;
import java.io.IOException;
import javax.imageio.ImageIO;

/** Reads a photo of any format that the JVM supports and turns it upright. */
public final class PhotoReader {
  static {
    System.setProperty("java.awt.headless", "true");
  }

  private PhotoReader() {}

  /**
   * Reads a file.
   *
   * @throws InvalidFileException if the file is missing or not an image.
   */
  public static RgbImage read(File file) throws IOException {
    if (!file.isFile()) {
      throw new InvalidFileException("There is no image " + file + "; check the path.");
    }
    try {
      BufferedImage image = ImageIO.read(file);
      if (image != null) {
        return pixels(image).upright(orientation(file));
      }
    } catch (IOException | RuntimeException e) {
      throw new InvalidFileException("Image " + file + " cannot be read (" + e.getMessage() + ").", e);
    }
    throw new InvalidFileException("Image " + file + " cannot be read (its format is not known).");
  }

  private static RgbImage pixels(BufferedImage image) {
    int width = image.getWidth();
    int height = image.getHeight();
    boolean gray = image.getRaster().getNumBands() <= 2 && !(image.getColorModel() instanceof IndexColorModel);
    if (!gray || image.getRaster().getTransferType() != DataBuffer.TYPE_BYTE) {
      return RgbImage.fromArgb(width, height, image.getRGB(0, 0, width, height, null, 0, width));
    }
    // getRGB treats grey values as linear light and would brighten them.
    int[] values = image.getRaster().getSamples(0, 0, width, height, 0, (int[]) null);
    for (int i = 0; i < values.length; i++) {
      values[i] *= 0x010101;
    }
    return RgbImage.fromArgb(width, height, values);
  }

  private static int orientation(File file) throws IOException {
    try {
      Directory exif = ImageMetadataReader.readMetadata(file).getFirstDirectoryOfType(ExifIFD0Directory.class);
      Integer value = exif == null ? null : exif.getInteger(ExifIFD0Directory.TAG_ORIENTATION);
      return value == null ? 1 : value;
    } catch (ImageProcessingException e) {
      return 1;
    }
  }
}
