package io.github.kerascdd.core;

import java.io.Closeable;
import java.io.IOException;

/** SQLite as both Android and the desktop offer it. Everything throws InvalidFileException on a damaged file. */
public interface Database extends Closeable {
  /** Rows that a statement gives, to be closed. Parameters are Strings, Longs, Doubles, byte[] or null. */
  Rows query(String sql, Object... parameters) throws IOException;

  /** Runs a statement that gives no rows; at once durable. */
  void execute(String sql, Object... parameters) throws IOException;

  @Override
  void close();

  /** A cursor before its first row; columns count from 0. */
  interface Rows extends Closeable {
    boolean next() throws IOException;

    /** Null where the column is. */
    String text(int column) throws IOException;

    long integer(int column) throws IOException;

    double real(int column) throws IOException;

    /** Null where the column is. */
    byte[] blob(int column) throws IOException;

    @Override
    void close();
  }
}
