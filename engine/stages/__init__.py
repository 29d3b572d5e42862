"""The stages that an answer goes through, and the trace of what each of them did."""
