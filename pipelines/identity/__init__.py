"""Identity: who calls, and what for: keys, tokens, limits, signed links. What a role may do is governance/people.py's."""
