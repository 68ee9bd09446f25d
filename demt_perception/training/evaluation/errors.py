"""The error of an evaluation that cannot be done as asked."""


class EvaluationError(ValueError):
    """Model and data do not fit each other, or the request; the text says the remedy."""
