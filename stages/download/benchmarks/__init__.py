"""Benchmarks: adapters from files that the user places under a root into the schema of `stages.corpus.evaluation_sets`.

One module a benchmark. Each says in its docstring which files it expects and where they come from, and yields rows
without reading more than one image at a time. Unknown values stop it with a one-line error: an annotation that is read
wrongly is worse than none.
"""
