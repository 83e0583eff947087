package io.github.kerascdd.app;

import android.content.Context;
import android.util.AttributeSet;
import android.widget.ImageView;

/** An ImageView that is as high as it is wide. */
public final class SquareImageView extends ImageView {
  public SquareImageView(Context context, AttributeSet attributes) {
    super(context, attributes);
  }

  @Override
  protected void onMeasure(int widthSpec, int heightSpec) {
    super.onMeasure(widthSpec, widthSpec);
    setMeasuredDimension(getMeasuredWidth(), getMeasuredWidth());
  }
}
