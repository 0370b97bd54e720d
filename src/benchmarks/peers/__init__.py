"""The contestants, one module each; a peer's library is imported only when it is its turn."""
