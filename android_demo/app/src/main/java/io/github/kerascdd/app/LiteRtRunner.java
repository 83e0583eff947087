package io.github.kerascdd.app;

import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.ModelRunner;
import io.github.kerascdd.core.Vectors;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.tensorflow.lite.DataType;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;

/** TensorFlow Lite on Android, or LiteRT, which has the same classes. */
final class LiteRtRunner implements ModelRunner {
  private static final int THREADS = 2;
  private final Interpreter interpreter;
  private final ByteBuffer input;
  private final ByteBuffer output;

  /**
   * Loads a model.
   *
   * @throws InvalidFileException if the interpreter rejects the model, or it does not take a uint8 image.
   */
  LiteRtRunner(byte[] tflite) throws InvalidFileException {
    ByteBuffer model = direct(tflite.length);
    model.put(tflite);
    try {
      interpreter = new Interpreter(model, new Interpreter.Options().setNumThreads(THREADS));
    } catch (IllegalArgumentException e) {
      throw new InvalidFileException("The model cannot be run on this device: " + e.getMessage(), e);
    }
    Tensor image = interpreter.getInputTensor(0);
    if (image.dataType() != DataType.UINT8 || image.shape().length != 4 || interpreter.getOutputTensorCount() != 1) {
      interpreter.close();
      throw new InvalidFileException("The model does not take one uint8 image and give one embedding.");
    }
    input = direct(image.numBytes());
    output = direct(interpreter.getOutputTensor(0).numBytes());
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
  }

  @Override
  public int imageHeight() {
    return interpreter.getInputTensor(0).shape()[1];
  }

  @Override
  public int imageWidth() {
    return interpreter.getInputTensor(0).shape()[2];
  }

  @Override
  public int embeddingSize() {
    return interpreter.getOutputTensor(0).shape()[1];
  }

  @Override
  public float[] run(byte[] rgb) {
    // Cast to Buffer: newer compilers would otherwise call methods of ByteBuffer that old Android lacks.
    ((Buffer) input).clear();
    input.put(rgb);
    ((Buffer) input).rewind();
    ((Buffer) output).clear();
    interpreter.run(input, output);
    ((Buffer) output).rewind();
    Tensor embedding = interpreter.getOutputTensor(0);
    if (embedding.dataType() == DataType.FLOAT32) {
      float[] values = new float[embeddingSize()];
      output.asFloatBuffer().get(values);
      return values;
    }
    byte[] values = new byte[embeddingSize()];
    output.get(values);
    Tensor.QuantizationParams quantization = embedding.quantizationParams();
    boolean signed = embedding.dataType() == DataType.INT8;
    return Vectors.dequantize(values, signed, quantization.getScale(), quantization.getZeroPoint());
  }

  @Override
  public void close() {
    interpreter.close();
  }
}
