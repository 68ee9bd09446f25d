"""What is wrong with an image message that cannot be used."""


class BadImageError(ValueError):
    """An image message cannot be used.

    Attributes:
        reason: short name under which it is counted: malformed, zero_size, bad_size, wrong_step,
            short_data, unknown_encoding, decode_failed, or too_old and given_up: see ``frame``.
    """

    def __init__(self, reason: str, text: str) -> None:
        """Take the reason and a sentence with the value seen, the value wanted and the remedy."""
        super().__init__(text)
        self.reason = reason
