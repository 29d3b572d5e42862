"""What every door does: requests in, answers out. Terminal, HTTP API and agents call it."""
