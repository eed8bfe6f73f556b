"""The one exception of this package."""


class EmbeddedError(Exception):
    """The library, a flag or a download is not as needed; the text is for people."""
