"""This package has the steps, in order; a step is never changed again once it is released."""
