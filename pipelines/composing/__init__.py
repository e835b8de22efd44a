"""Composing: a melody becomes a finished arrangement. The doors are arranging.py and chorale.py."""
