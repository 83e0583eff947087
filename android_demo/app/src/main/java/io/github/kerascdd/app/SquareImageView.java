package io.github.kerascdd.app;

import android.content.Context;
import android.util.AttributeSet;
import android.widget.ImageView;

/** As high as it is wide, whatever the grid makes of its width. */
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
