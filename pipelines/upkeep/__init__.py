"""What keeps a house in order for months: what nothing needs goes, what matters is copied away and can be put back."""
