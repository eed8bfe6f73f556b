"""Downloads of the real parts, pinned by sha256 and kept in a cache."""
