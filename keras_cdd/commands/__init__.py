"""What all commands share: start, help and error messages."""
