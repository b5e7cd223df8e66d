"""goa trains text generators on the expected quality of their whole output."""

__version__ = "0.1.0"
