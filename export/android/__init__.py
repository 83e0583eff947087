"""What the Android app and its tests take from Python."""
