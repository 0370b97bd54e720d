"""One script a step, never changed once it was released."""
