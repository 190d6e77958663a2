"""A make-believe GPU: torch's CUDA branches run to their end on a machine without one.

``python -m tests.support.fake_cuda`` runs a module or tests on it
(docs/method/make-believe-gpu.md). Values are computed for real, on the CPU, so that results can be
compared. What is pretended is the device, with the laws that a real one leaves to the caller:

- A tensor on "cuda" wraps a tensor on the CPU (``tensors``); an operation over tensors of both
  devices is an error (``operations``).
- Streams have clocks (``streams``). Work that touches what another stream still writes, without
  having waited for it, is told as a race (``memory``).
- A copy from or to pinned memory is under way until the host has waited for it: what it is to
  bring is not there before (``transfers``).
- A capture runs nothing: what it wrote is put back, what lies in its pool is NaN until the graph
  is replayed, and again when another graph of the pool is (``graphs``).

What breaks a law is printed, is counted in ``state.PROBLEMS``, and makes the exit code 1.

The make-believe GPU cannot show a kernel's own errors and choices (cuBLAS, cuDNN, Triton), times,
races inside a kernel, what a driver takes of the memory, or forks of a capture over several
streams.
"""
