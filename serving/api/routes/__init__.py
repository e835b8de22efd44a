"""One module a noun, each with a ``router``; app.py lists them."""
