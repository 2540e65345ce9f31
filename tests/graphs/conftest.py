import pytest


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Small networks run faster on one thread, and leave the other cores alone."""
    try:
        import torch
    except ModuleNotFoundError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
