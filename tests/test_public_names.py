"""What the packages offer by name, whichever of their modules have been imported before."""

import pkgutil
from importlib import import_module
from types import ModuleType

import pytest


@pytest.mark.parametrize("name", ["effnet_core", "converters"])
def test_a_public_name_is_never_taken_by_a_module(name: str) -> None:
    package = import_module(name)
    modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
    for module in modules:
        import_module(f"{name}.{module}")
    assert isinstance(package.errors, ModuleType)  # the control: importing a module does put it there
    assert [public for public in package.__all__ if isinstance(getattr(package, public), ModuleType)] == []
    assert set(package.__all__) <= set(dir(package))
