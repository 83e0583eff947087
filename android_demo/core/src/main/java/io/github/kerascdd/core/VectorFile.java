package io.github.kerascdd.core;

import java.io.BufferedOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;

/**
 * The rows of a `VectorTable` in a file of their own, made from a gallery. It is mapped, not read: its pages come and go
 * as the system likes, and none of them counts as memory of this program.
 *
 * <p>Its name tells which state of the gallery it holds. Whoever changes the gallery deletes it first.
 */
public final class VectorFile {
  private static final String SUFFIX = ".vectors";
  private static final int VERSION = 1;
  /** SQLite counts the changes of a file here. */
  private static final int HEADER_BYTES = 100;
  /** Bytes that are mapped at once, at most: buffers of Java have less than 2 GB. */
  private static final long SEGMENT = 1 << 28;

  private final File folder;
  private final File file;

  /**
   * Names the file that belongs to a gallery as it is now; neither makes nor reads it.
   *
   * @param folder for such files only; others than the gallery's are deleted when its own is written.
   */
  public VectorFile(File gallery, File folder) throws IOException {
    this.folder = folder;
    file = new File(folder, stamp(gallery) + SUFFIX);
  }

  /** SHA-256 of what tells one state of a gallery from another without reading all of it. */
  private static String stamp(File gallery) throws IOException {
    ByteBuffer stamp = ByteBuffer.allocate(4 + 2 * 8 + HEADER_BYTES).order(ByteOrder.BIG_ENDIAN);
    stamp.putInt(VERSION).putLong(gallery.length()).putLong(gallery.lastModified());
    try (InputStream in = new FileInputStream(gallery)) {
      in.read(stamp.array(), stamp.position(), HEADER_BYTES);
    }
    return Files.sha256(stamp.array());
  }

  /** Whether the file is there, with whole rows. */
  boolean exists(int rowBytes) {
    return file.isFile() && file.length() % rowBytes == 0;
  }

  /** Writes the file, which appears only when it is complete, and deletes those of other galleries. */
  void write(Content content) throws IOException {
    folder.mkdirs();
    delete(folder);
    File unfinished = new File(file.getPath() + ".new");
    try {
      try (FileOutputStream bytes = new FileOutputStream(unfinished)) {
        OutputStream out = new BufferedOutputStream(bytes, 1 << 16);
        content.writeTo(out);
        out.flush();
        bytes.getFD().sync();
      }
      if (!unfinished.renameTo(file)) {
        throw new IOException("Cannot write " + file.getName());
      }
    } finally {
      unfinished.delete();
    }
  }

  private static void delete(File folder) {
    File[] inside = folder.listFiles((parent, name) -> name.endsWith(SUFFIX) || name.endsWith(SUFFIX + ".new"));
    for (int i = 0; inside != null && i < inside.length; i++) {
      inside[i].delete();
    }
  }

  /** Deletes the file; what is mapped of it stays readable. */
  void delete() throws IOException {
    if (!file.delete() && file.exists()) {
      throw new IOException("Cannot delete " + file.getName());
    }
  }

  /** The file as read-only buffers, each of whole rows. */
  List<ByteBuffer> map(int rowBytes) throws IOException {
    List<ByteBuffer> segments = new ArrayList<>();
    long most = Math.max(1, SEGMENT / rowBytes) * rowBytes;
    try (RandomAccessFile open = new RandomAccessFile(file, "r")) {
      for (long from = 0; from < open.length(); from += most) {
        long bytes = Math.min(most, open.length() - from);
        segments.add(open.getChannel().map(FileChannel.MapMode.READ_ONLY, from, bytes));
      }
    }
    return segments;
  }

  /** Writes all rows. */
  interface Content {
    void writeTo(OutputStream out) throws IOException;
  }
}
