package io.github.kerascdd.app;

import android.app.AlertDialog;
import android.content.Context;
import android.content.Intent;
import android.graphics.Bitmap;
import android.net.Uri;
import android.os.Bundle;
import android.text.InputType;
import android.view.View;
import android.view.WindowManager;
import android.widget.EditText;
import android.widget.FrameLayout;
import android.widget.GridLayout;
import android.widget.ImageView;
import android.widget.TextView;
import io.github.kerascdd.core.Files;
import io.github.kerascdd.core.Finder;
import io.github.kerascdd.core.Findings;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.Match;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/** A photo and the most similar gallery images; also the target of photos shared by other apps. */
public final class ResultActivity extends Screen {
  static final int MATCHES = 12;
  private static final String FILE = "file";
  private static final String NAME = "name";
  private static final long LARGEST_PHOTO = 256L << 20;

  /** A copy of the photo: the original of another app may no longer be accessible when this screen is recreated. */
  private File photoFile;

  private Outcome outcome;
  private EditText nameField;

  static Intent forFile(Context context, File file) {
    return new Intent(context, ResultActivity.class).putExtra(FILE, file.getPath());
  }

  static Intent forUri(Context context, Uri uri) {
    return new Intent(context, ResultActivity.class).setData(uri).addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION);
  }

  @Override
  protected void onCreate(Bundle state) {
    super.onCreate(state);
    show(R.layout.result, true);
    findViewById(R.id.add).setOnClickListener(view -> askName(""));
    String kept = state == null ? null : state.getString(FILE);
    photoFile = new File(app().photos(), kept != null ? kept : UUID.randomUUID().toString());
    background(app().receiver, this::receive, received -> background(this::search, this::showOutcome));
    if (state != null && state.getString(NAME) != null) {
      askName(state.getString(NAME));
    }
  }

  @Override
  protected void onSaveInstanceState(Bundle state) {
    super.onSaveInstanceState(state);
    state.putString(FILE, photoFile.getName());
    if (nameField != null) {
      state.putString(NAME, nameField.getText().toString());
    }
  }

  @Override
  protected void onDestroy() {
    if (isFinishing()) {
      File done = photoFile;
      app().worker.execute(done::delete);
    }
    super.onDestroy();
  }

  /** The outcome of a search, ready to be shown. */
  private static final class Outcome {
    Photo photo;
    Bitmap bitmap;
    Findings findings;
    final List<Bitmap> thumbnails = new ArrayList<>();
  }

  private Outcome search() throws IOException {
    Outcome found = new Outcome();
    found.photo = Photo.read(this, photoFile);
    found.bitmap = found.photo.bitmap();
    Finder finder = app().finder();
    found.findings = finder.find(found.photo.image, MATCHES);
    finder.withGallery(
        gallery -> {
          for (Match match : found.findings.matches) {
            found.thumbnails.add(Thumbnails.read(gallery, match.image.id));
          }
          return null;
        });
    return found;
  }

  /** Copies the photo, unless that was done before this screen was recreated. */
  private File receive() throws IOException {
    if (!photoFile.isFile()) {
      photoFile.getParentFile().mkdirs();
      try (InputStream in = openPhoto()) {
        Files.write(in, photoFile, LARGEST_PHOTO);
      } catch (InvalidFileException e) {
        throw e;
      } catch (IOException | RuntimeException e) { // another app may send anything, and fail in any way
        throw new InvalidFileException(getString(R.string.no_photo), e);
      }
    }
    return photoFile;
  }

  @SuppressWarnings("deprecation") // the typed getParcelableExtra needs API 33
  private InputStream openPhoto() throws IOException {
    // Other apps come by the alias in the manifest; they could name a private file of this app.
    boolean ours = ResultActivity.class.getName().equals(getIntent().getComponent().getClassName());
    String file = ours ? getIntent().getStringExtra(FILE) : null;
    if (file != null) {
      return new java.io.FileInputStream(file);
    }
    Uri shared = getIntent().getParcelableExtra(Intent.EXTRA_STREAM);
    Uri uri = shared != null ? shared : getIntent().getData();
    boolean theirs = uri != null && "content".equals(uri.getScheme()) && !CameraProvider.PHOTO.getHost().equals(uri.getHost());
    InputStream in = theirs ? getContentResolver().openInputStream(uri) : null;
    if (in == null) {
      throw new IOException("nothing to open");
    }
    return in;
  }

  private void showOutcome(Outcome found) {
    outcome = found;
    Findings findings = found.findings;
    this.<ImageView>findViewById(R.id.photo).setImageBitmap(found.bitmap);
    setVisible(R.id.progress, false);
    setVisible(R.id.add, true);
    setText(
        R.id.answer,
        findings.matches.isEmpty()
            ? getString(R.string.nothing)
            : getString(R.string.best, findings.matches.get(0).image.name()));
    String timing =
        getString(
            R.string.timing,
            findings.milliseconds(), findings.embedMilliseconds, findings.searchMilliseconds,
            images(findings.gallerySize));
    int sampling = found.photo.sampling;
    setText(R.id.timing, sampling == 1 ? timing : timing + "\n" + getString(R.string.sampled, sampling));
    showMatches(found);
  }

  private void showMatches(Outcome found) {
    GridLayout grid = findViewById(R.id.grid);
    grid.removeAllViews();
    grid.setColumnCount(Math.max(2, getResources().getConfiguration().screenWidthDp / 125));
    for (int i = 0; i < found.findings.matches.size(); i++) {
      Match match = found.findings.matches.get(i);
      View cell = getLayoutInflater().inflate(R.layout.match, grid, false);
      cell.<ImageView>findViewById(R.id.thumbnail).setImageBitmap(found.thumbnails.get(i));
      cell.<TextView>findViewById(R.id.name).setText(match.image.name());
      double percent = 100 * match.similarity;
      cell.<TextView>findViewById(R.id.similarity).setText(getString(R.string.similarity, percent));
      cell.setContentDescription(getString(R.string.match, match.image.name(), percent));
      cell.setOnClickListener(
          view -> startActivityForResult(CompareActivity.forMatch(this, match, photoFile), 0));
      grid.addView(cell);
    }
  }

  @Override
  protected void onActivityResult(int request, int result, Intent data) {
    super.onActivityResult(request, result, data);
    if (result == RESULT_OK) { // an image was removed
      background(this::search, this::showOutcome);
    }
  }

  @Override
  void failed(Exception e) {
    setVisible(R.id.progress, false);
    setText(R.id.answer, message(e));
  }

  private void askName(String name) {
    EditText field = new EditText(this);
    field.setHint(R.string.add_hint);
    field.setInputType(InputType.TYPE_CLASS_TEXT | InputType.TYPE_TEXT_FLAG_CAP_SENTENCES);
    field.setId(R.id.name);
    field.setText(name);
    field.setSelection(name.length());
    FrameLayout frame = new FrameLayout(this);
    int margin = (int) (20 * getResources().getDisplayMetrics().density);
    frame.setPaddingRelative(margin, margin / 2, margin, 0);
    frame.addView(field);
    nameField = field;
    AlertDialog dialog =
        new AlertDialog.Builder(this)
            .setTitle(R.string.add_title)
            .setView(frame)
            .setPositiveButton(R.string.add, (shown, which) -> add(field.getText().toString().trim()))
            .setNegativeButton(R.string.cancel, null)
            .setOnDismissListener(shown -> nameField = null)
            .create();
    dialog.getWindow().setSoftInputMode(WindowManager.LayoutParams.SOFT_INPUT_STATE_VISIBLE);
    dialog.show();
  }

  private void add(String name) {
    if (name.isEmpty() || outcome == null) {
      return;
    }
    Outcome shown = outcome;
    background(
        () -> {
          byte[] thumbnail = shown.photo.thumbnail();
          app().finder().withGallery(gallery -> gallery.add(name, shown.findings.embedding, thumbnail));
          return search();
        },
        found -> {
          showOutcome(found);
          toast(getString(R.string.added, name));
        });
  }
}
