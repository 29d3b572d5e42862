"""Who may do what: roles, keys, and which of them a signed-in person has."""
