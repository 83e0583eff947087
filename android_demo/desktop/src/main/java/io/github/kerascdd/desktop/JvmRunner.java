package io.github.kerascdd.desktop;

import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorCopyFromBuffer;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorCopyToBuffer;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorDim;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorNumDims;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorQuantizationParams;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorType;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteFloat32;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteInt8;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteOk;
import static org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteUInt8;

import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.ModelRunner;
import io.github.kerascdd.core.Vectors;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.tensorflowlite.BuiltinOpResolver;
import org.bytedeco.tensorflowlite.FlatBufferModel;
import org.bytedeco.tensorflowlite.Interpreter;
import org.bytedeco.tensorflowlite.InterpreterBuilder;
import org.bytedeco.tensorflowlite.TfLiteQuantizationParams;
import org.bytedeco.tensorflowlite.TfLiteTensor;

/** TensorFlow Lite on a desktop JVM, on one thread, with the kernels that phones use. */
public final class JvmRunner implements ModelRunner {
  private final BytePointer bytes; // outside the Java heap; outlives the interpreter, as do the next two
  private final FlatBufferModel model;
  private final BuiltinOpResolver operators = new BuiltinOpResolver();
  private final Interpreter interpreter = new Interpreter((Pointer) null);
  private final TfLiteTensor input;
  private final TfLiteTensor output;

  /**
   * Loads a model.
   *
   * @throws InvalidFileException if it is not a model of export.to_tflite with uint8 images.
   */
  public JvmRunner(byte[] tflite) throws InvalidFileException {
    bytes = new BytePointer(tflite);
    model = FlatBufferModel.VerifyAndBuildFromBuffer(bytes, tflite.length);
    if (model == null || model.isNull()) {
      throw new InvalidFileException("The model is damaged or no .tflite file; make it again with export.to_tflite.");
    }
    try (InterpreterBuilder builder = new InterpreterBuilder(model, operators)) {
      builder.SetNumThreads(1);
      if (builder.apply(interpreter) != kTfLiteOk
          || interpreter.ModifyGraphWithDelegate(Xnnpack.delegate()) != kTfLiteOk
          || interpreter.AllocateTensors() != kTfLiteOk) {
        throw new InvalidFileException("The model holds operators that this TensorFlow Lite does not know.");
      }
    }
    input = interpreter.input_tensor(0);
    output = interpreter.output_tensor(0);
    if (TfLiteTensorType(input) != kTfLiteUInt8
        || TfLiteTensorNumDims(input) != 4
        || TfLiteTensorDim(input, 3) != 3
        || TfLiteTensorNumDims(output) != 2) {
      throw new InvalidFileException(
          "The model does not take one uint8 image and give one embedding; make it with export.to_tflite.");
    }
  }

  @Override
  public int imageHeight() {
    return TfLiteTensorDim(input, 1);
  }

  @Override
  public int imageWidth() {
    return TfLiteTensorDim(input, 2);
  }

  @Override
  public int embeddingSize() {
    return TfLiteTensorDim(output, 1);
  }

  @Override
  public float[] run(byte[] rgb) {
    try (BytePointer pixels = new BytePointer(rgb)) {
      check(TfLiteTensorCopyFromBuffer(input, pixels, rgb.length), "take the image");
    }
    check(interpreter.Invoke(), "run the model");
    int type = TfLiteTensorType(output);
    if (type == kTfLiteFloat32) {
      return floats();
    }
    if (type != kTfLiteInt8 && type != kTfLiteUInt8) {
      throw new IllegalStateException("The model's output type " + type + " is not float32, int8 or uint8");
    }
    TfLiteQuantizationParams quantization = TfLiteTensorQuantizationParams(output);
    return Vectors.dequantize(integers(), type == kTfLiteInt8, quantization.scale(), quantization.zero_point());
  }

  private float[] floats() {
    float[] values = new float[embeddingSize()];
    try (FloatPointer pointer = new FloatPointer(values.length)) {
      check(TfLiteTensorCopyToBuffer(output, pointer, 4L * values.length), "give the embedding");
      pointer.get(values);
    }
    return values;
  }

  private byte[] integers() {
    byte[] values = new byte[embeddingSize()];
    try (BytePointer pointer = new BytePointer(values.length)) {
      check(TfLiteTensorCopyToBuffer(output, pointer, values.length), "give the embedding");
      pointer.get(values);
    }
    return values;
  }

  @Override
  public void close() {
    interpreter.close();
    operators.close();
    model.close();
    bytes.close();
  }

  private static void check(int status, String what) {
    if (status != kTfLiteOk) {
      throw new IllegalStateException("TensorFlow Lite could not " + what + " (status " + status + ")");
    }
  }
}
