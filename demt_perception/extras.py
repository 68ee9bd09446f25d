"""How the packages come that only some uses need: the extras of ``setup.py``."""

from demt_perception import __version__


def installing(extra: str, pip: str = 'pip') -> str:
    """Return what to type for an extra, with and without the repository.

    Not the bare name of the package: it is not on PyPI, where anybody may take that name.
    """
    return (f"{pip} install '.[{extra}]' in the repository, or "
            f"'demt_perception-{__version__}-py3-none-any.whl[{extra}]' where you have the wheel")
