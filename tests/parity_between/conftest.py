import pytest

from effnet.choices import Backend
from effnet.frameworks import import_frameworks
from tests.devices import DEVICES, available


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    import_frameworks(Backend)  # in their order, before the device is looked for
    return available(request.param)
