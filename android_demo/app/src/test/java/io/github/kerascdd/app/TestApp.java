package io.github.kerascdd.app;

import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.ModelRunner;
import io.github.kerascdd.desktop.JvmRunner;

/** The app with its real model and gallery, but the desktop's interpreter. */
public class TestApp extends DemoApp {
  @Override
  protected ModelRunner newRunner(byte[] model) throws InvalidFileException {
    return new JvmRunner(model);
  }
}
