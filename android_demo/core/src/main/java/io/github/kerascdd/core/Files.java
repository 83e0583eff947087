package io.github.kerascdd.core;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** Replacements for java.nio.file, which Android lacks before API 26. */
public final class Files {
  private Files() {}

  /** All bytes of a stream. */
  public static byte[] read(InputStream in) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    copy(in, bytes, Long.MAX_VALUE);
    return bytes.toByteArray();
  }

  /** All bytes of a file. */
  public static byte[] read(File file) throws IOException {
    try (InputStream in = new FileInputStream(file)) {
      return read(in);
    }
  }

  /**
   * Writes a stream to a file that appears only when it is complete.
   *
   * @throws InvalidFileException if the stream has more than `limit` bytes.
   */
  public static void write(InputStream in, File file, long limit) throws IOException {
    File unfinished = new File(file.getPath() + ".new");
    try {
      try (OutputStream out = new FileOutputStream(unfinished)) {
        copy(in, out, limit);
      }
      if (!unfinished.renameTo(file)) {
        throw new IOException("Cannot write " + file.getName());
      }
    } finally {
      unfinished.delete();
    }
  }

  /** SHA-256 of bytes, in hexadecimal. */
  public static String sha256(byte[] bytes) {
    return hexadecimal(newSha256().digest(bytes));
  }

  /** SHA-256 of a file, in hexadecimal, without reading it into memory. */
  public static String sha256(File file) throws IOException {
    MessageDigest digest = newSha256();
    byte[] buffer = new byte[1 << 16];
    try (InputStream in = new FileInputStream(file)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        digest.update(buffer, 0, n);
      }
    }
    return hexadecimal(digest.digest());
  }

  private static MessageDigest newSha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  private static String hexadecimal(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    for (byte value : bytes) {
      text.append(Character.forDigit(value >> 4 & 15, 16)).append(Character.forDigit(value & 15, 16));
    }
    return text.toString();
  }

  /** Deletes a file, or a folder with its contents. */
  public static void delete(File file) {
    File[] inside = file.listFiles();
    for (int i = 0; inside != null && i < inside.length; i++) {
      delete(inside[i]);
    }
    file.delete();
  }

  private static void copy(InputStream in, OutputStream out, long limit) throws IOException {
    byte[] buffer = new byte[1 << 16];
    long copied = 0;
    for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
      copied += n;
      if (copied > limit) {
        throw new InvalidFileException("The file is larger than " + (limit >> 20) + " MB.");
      }
      out.write(buffer, 0, n);
    }
  }
}
