"""The paper's loop: good descriptions become captions to borrow from."""
