from torch_threads import one_torch_thread  # noqa: F401  (for every test of this folder)
