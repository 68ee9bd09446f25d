"""Plugin of pytest: property tests that ask for few examples get 1000 like the others, all new.

``make fuzz`` uses it with HYPOTHESIS_PROFILE=search, which a test's own max_examples overrides.
"""

from hypothesis import settings
import pytest

EXAMPLES = 1000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Raise the number where it is lower. Hypothesis has no public way to do that."""
    for item in items:
        test = getattr(item, 'obj', None)
        test = getattr(test, '__func__', test)
        own = getattr(test, '_hypothesis_internal_use_settings', None)
        if own is not None and own.max_examples < EXAMPLES:
            test._hypothesis_internal_use_settings = settings(own, max_examples=EXAMPLES)
