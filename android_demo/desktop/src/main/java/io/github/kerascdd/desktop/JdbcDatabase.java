package io.github.kerascdd.desktop;

import io.github.kerascdd.core.Database;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.VectorFile;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import org.sqlite.SQLiteConfig;

/** SQLite through sqlite-jdbc. */
public final class JdbcDatabase implements Database {
  private final Connection connection;

  /**
   * Opens an existing file.
   *
   * @throws InvalidFileException if the file is missing or not a database.
   */
  public JdbcDatabase(File file, boolean readOnly) throws IOException {
    if (!file.isFile()) {
      throw new InvalidFileException("There is no gallery " + file + "; check the path.");
    }
    SQLiteConfig config = new SQLiteConfig();
    config.setReadOnly(readOnly);
    try {
      connection = config.createConnection("jdbc:sqlite:" + file);
    } catch (SQLException e) {
      throw damaged(e);
    }
    if (file.length() < pragma("page_count") * pragma("page_size")) {
      close(); // SQLite would read zeros where the last page is cut off.
      throw new InvalidFileException("The gallery is damaged (its end is missing); build it again with export.build_gallery.");
    }
  }

  /**
   * Opens a gallery, with the file of its vectors among the temporary files of this program.
   *
   * @throws InvalidFileException if it is missing or damaged.
   */
  public static Gallery openGallery(File file, boolean readOnly) throws IOException {
    File folder = Files.createTempDirectory("vectors").toFile();
    try {
      JdbcDatabase database = new JdbcDatabase(file, readOnly);
      try {
        // What is mapped stays readable.
        return new Gallery(database, new VectorFile(file, folder));
      } catch (IOException | RuntimeException e) {
        database.close();
        throw e;
      }
    } finally {
      io.github.kerascdd.core.Files.delete(folder);
    }
  }

  private long pragma(String name) throws IOException {
    try (Rows rows = query("PRAGMA " + name)) {
      return rows.next() ? rows.integer(0) : 0;
    } catch (IOException e) {
      close();
      throw e;
    }
  }

  @Override
  public Rows query(String sql, Object... parameters) throws IOException {
    PreparedStatement statement = prepare(sql, parameters);
    try {
      return new JdbcRows(statement, statement.executeQuery());
    } catch (SQLException e) {
      throw damaged(e);
    }
  }

  @Override
  public void execute(String sql, Object... parameters) throws IOException {
    try (PreparedStatement statement = prepare(sql, parameters)) {
      statement.executeUpdate();
    } catch (SQLException e) {
      throw damaged(e);
    }
  }

  private PreparedStatement prepare(String sql, Object... parameters) throws IOException {
    try {
      PreparedStatement statement = connection.prepareStatement(sql);
      for (int i = 0; i < parameters.length; i++) {
        statement.setObject(i + 1, parameters[i]);
      }
      return statement;
    } catch (SQLException e) {
      throw damaged(e);
    }
  }

  @Override
  public void close() {
    try {
      connection.close();
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }

  private static InvalidFileException damaged(SQLException e) {
    return new InvalidFileException(
        "The gallery is damaged or no gallery (" + e.getMessage() + "); build it again with export.build_gallery.", e);
  }

  private static final class JdbcRows implements Rows {
    private final PreparedStatement statement;
    private final ResultSet rows;

    JdbcRows(PreparedStatement statement, ResultSet rows) {
      this.statement = statement;
      this.rows = rows;
    }

    @Override
    public boolean next() throws IOException {
      return read(rows::next);
    }

    @Override
    public String text(int column) throws IOException {
      return read(() -> rows.getString(column + 1));
    }

    @Override
    public long integer(int column) throws IOException {
      return read(() -> rows.getLong(column + 1));
    }

    @Override
    public double real(int column) throws IOException {
      return read(() -> rows.getDouble(column + 1));
    }

    @Override
    public byte[] blob(int column) throws IOException {
      return read(() -> rows.getBytes(column + 1));
    }

    @Override
    public void close() {
      try {
        statement.close();
      } catch (SQLException e) {
        throw new IllegalStateException(e);
      }
    }

    private interface Reading<T> {
      T read() throws SQLException;
    }

    private static <T> T read(Reading<T> reading) throws IOException {
      try {
        return reading.read();
      } catch (SQLException e) {
        throw damaged(e);
      }
    }
  }
}
