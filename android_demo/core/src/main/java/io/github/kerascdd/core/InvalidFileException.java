package io.github.kerascdd.core;

import java.io.IOException;

/** A model, gallery, manifest, pair or photo that cannot be used; the message is one line for the user. */
public final class InvalidFileException extends IOException {
  private static final long serialVersionUID = 1L;

  public InvalidFileException(String message) {
    super(message);
  }

  public InvalidFileException(String message, Throwable cause) {
    super(message, cause);
  }
}
