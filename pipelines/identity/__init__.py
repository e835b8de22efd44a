"""Identity: who calls, and what for: keys, tokens, limits, signed links. Roles are governance/people.py's."""
