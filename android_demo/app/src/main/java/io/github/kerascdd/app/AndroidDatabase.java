package io.github.kerascdd.app;

import android.database.Cursor;
import android.database.SQLException;
import android.database.sqlite.SQLiteDatabase;
import io.github.kerascdd.core.Database;
import io.github.kerascdd.core.InvalidFileException;
import java.io.File;
import java.io.IOException;

/** Android's own SQLite. */
final class AndroidDatabase implements Database {
  private final SQLiteDatabase database;

  /**
   * Opens an existing file.
   *
   * @throws InvalidFileException if the file is missing or not a database.
   */
  AndroidDatabase(File file) throws InvalidFileException {
    // No localized collators: with them Android adds a table to the file.
    int flags = SQLiteDatabase.OPEN_READWRITE | SQLiteDatabase.NO_LOCALIZED_COLLATORS;
    try {
      // Our own handler of corruption, because Android's deletes the file.
      database = SQLiteDatabase.openDatabase(file.getPath(), null, flags, damaged -> damaged.close());
    } catch (SQLException e) {
      throw damaged(e);
    }
  }

  @Override
  public Rows query(String sql, Object... parameters) throws IOException {
    String[] texts = new String[parameters.length];
    for (int i = 0; i < texts.length; i++) {
      texts[i] = String.valueOf(parameters[i]);
    }
    try {
      return new CursorRows(database.rawQuery(sql, texts));
    } catch (SQLException | IllegalStateException e) {
      throw damaged(e);
    }
  }

  @Override
  public void execute(String sql, Object... parameters) throws IOException {
    try {
      database.execSQL(sql, parameters);
    } catch (SQLException | IllegalStateException e) {
      throw damaged(e);
    }
  }

  @Override
  public void close() {
    database.close();
  }

  private static InvalidFileException damaged(RuntimeException e) {
    return new InvalidFileException("The gallery is damaged or no gallery (" + e.getMessage() + ").", e);
  }

  private static final class CursorRows implements Rows {
    private final Cursor cursor;

    CursorRows(Cursor cursor) {
      this.cursor = cursor;
    }

    @Override
    public boolean next() throws IOException {
      return read(cursor::moveToNext);
    }

    @Override
    public String text(int column) throws IOException {
      return read(() -> cursor.getString(column));
    }

    @Override
    public long integer(int column) throws IOException {
      return read(() -> cursor.getLong(column));
    }

    @Override
    public double real(int column) throws IOException {
      return read(() -> cursor.getDouble(column));
    }

    @Override
    public byte[] blob(int column) throws IOException {
      return read(() -> cursor.getBlob(column));
    }

    @Override
    public void close() {
      cursor.close();
    }

    private interface Reading<T> {
      T read();
    }

    private static <T> T read(Reading<T> reading) throws IOException {
      try {
        return reading.read();
      } catch (SQLException | IllegalStateException e) { // the latter also from a row too large for a cursor
        throw damaged(e);
      }
    }
  }
}
