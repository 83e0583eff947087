package io.github.kerascdd.app;

import android.app.Activity;
import android.os.Handler;
import android.os.Looper;
import android.view.View;
import android.widget.TextView;
import android.widget.Toast;
import android.widget.Toolbar;
import io.github.kerascdd.core.InvalidFileException;
import java.util.concurrent.Callable;
import java.util.concurrent.Executor;

/** Base of all screens: a bar on top, and work in the background. */
abstract class Screen extends Activity {
  private final Handler main = new Handler(Looper.getMainLooper());

  /** Handles the result of background work on the main thread. */
  interface Done<T> {
    void with(T result);
  }

  final DemoApp app() {
    return (DemoApp) getApplication();
  }

  /** Shows a layout that has a Toolbar `bar`. */
  final void show(int layout, boolean up) {
    setContentView(layout);
    setActionBar(this.<Toolbar>findViewById(R.id.bar));
    getActionBar().setDisplayHomeAsUpEnabled(up);
  }

  /** Runs work in the background; its result is dropped if this screen is gone by then. */
  final <T> void background(Callable<T> work, Done<T> done) {
    background(app().worker, work, done);
  }

  final <T> void background(Executor executor, Callable<T> work, Done<T> done) {
    executor.execute(
        () -> {
          try {
            T result = work.call();
            deliver(() -> done.with(result));
          } catch (Exception e) {
            deliver(() -> failed(e));
          }
        });
  }

  private void deliver(Runnable outcome) {
    main.post(
        () -> {
          if (!isDestroyed()) {
            outcome.run();
          }
        });
  }

  /** Background work failed. */
  void failed(Exception e) {
    toast(message(e));
  }

  /** The error as one line for the user. */
  final String message(Exception e) {
    return e instanceof InvalidFileException ? e.getMessage() : getString(R.string.failed, String.valueOf(e.getMessage()));
  }

  final void toast(String text) {
    Toast.makeText(this, text, Toast.LENGTH_LONG).show();
  }

  final void setText(int id, CharSequence text) {
    this.<TextView>findViewById(id).setText(text);
  }

  final void setVisible(int id, boolean visible) {
    findViewById(id).setVisibility(visible ? View.VISIBLE : View.GONE);
  }

  final String images(int count) {
    return getResources().getQuantityString(R.plurals.images, count, count);
  }

  @Override
  public boolean onNavigateUp() {
    finish();
    return true;
  }
}
