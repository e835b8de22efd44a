"""Recommending: from who decided what to lists in milliseconds."""
