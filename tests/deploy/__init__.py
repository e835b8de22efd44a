"""How the house is run for real: image, compose file, launchers, charts."""
