"""How every command starts, explains itself and fails."""
