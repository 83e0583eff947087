"""Assets and test data for the Android app."""
