"""The steps, in order; each is never changed again once released."""
