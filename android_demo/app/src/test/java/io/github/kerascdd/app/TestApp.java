package io.github.kerascdd.app;

import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.ModelRunner;
import io.github.kerascdd.desktop.JvmRunner;

/** The app with its real model and gallery; only the interpreter is the desktop's. */
public class TestApp extends DemoApp {
  @Override
  protected ModelRunner newRunner(byte[] model) throws InvalidFileException {
    return new JvmRunner(model);
  }
}
