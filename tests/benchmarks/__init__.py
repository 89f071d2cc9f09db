"""Benchmarks: `make bench` measures CPU time and peak memory of fresh processes against targets."""
