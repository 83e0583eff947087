package io.github.kerascdd.core;

import java.io.Closeable;
import java.io.IOException;

/** The SQLite operations common to Android and the desktop. All throw InvalidFileException for a damaged file. */
public interface Database extends Closeable {
  /** Runs a query; the caller closes the result. Parameters are Strings, Longs, Doubles, byte[] or null. */
  Rows query(String sql, Object... parameters) throws IOException;

  /** Runs a statement without a result; its effect is durable at once. */
  void execute(String sql, Object... parameters) throws IOException;

  @Override
  void close();

  /** A cursor before its first row; columns count from 0. */
  interface Rows extends Closeable {
    boolean next() throws IOException;

    /** Null if the column is NULL. */
    String text(int column) throws IOException;

    long integer(int column) throws IOException;

    double real(int column) throws IOException;

    /** Null if the column is NULL. */
    byte[] blob(int column) throws IOException;

    @Override
    void close();
  }
}
